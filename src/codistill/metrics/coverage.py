"""Does a network know when it is wrong?"""

import torch
from torch import Tensor

from codistill.losses.posterior import log_posterior
from codistill.metrics import Metric
from codistill.metrics.accuracy import correct
from codistill.metrics.labels import check


def aurc(logits: Tensor, labels: Tensor) -> Tensor:
    """Area under the risk-coverage curve: (1/N) sum_k (errors among the k most confident examples) / k.

    The confidence of an example is its highest probability. Equally confident examples are in no order, so each
    counts with the mean error of them all: the answer does not depend on the order of the examples.

    Args:
        logits: ``[..., N, C]``.
        labels: class numbers ``[N]``.

    Returns: ``[...]``, a fraction (PS-KD prints it times 1000), 0 for no error at all; NaN where a logit is NaN, or
    N = 0.

    Raises:
        ValueError: shapes or labels that do not fit.
    """
    check(logits, labels)
    confidence = log_posterior(logits).amax(-1)
    wrong = (~correct(logits, labels)).double()
    if confidence.dim() == 1:
        return _area(confidence, wrong).to(confidence.dtype)
    areas = [_area(*pair) for pair in zip(confidence.flatten(0, -2), wrong.flatten(0, -2), strict=True)]
    return torch.stack(areas).reshape(logits.shape[:-2]).to(confidence.dtype)


def _area(confidence: Tensor, wrong: Tensor) -> Tensor:
    if confidence.isnan().any():
        return wrong.new_full((), torch.nan)
    order = confidence.argsort(descending=True)
    _, block, sizes = torch.unique_consecutive(confidence[order], return_inverse=True, return_counts=True)
    ends: Tensor = sizes.cumsum(0)
    below = torch.cat([wrong.new_zeros(1), wrong[order].cumsum(0)])  # errors among the first k, whole numbers: exact
    mean = (below[ends] - below[ends - sizes]) / sizes
    covered = torch.arange(1, len(wrong) + 1, device=wrong.device)
    errors = below[ends - sizes][block] + mean[block] * (covered - (ends - sizes)[block])
    area: Tensor = (errors / covered).mean()
    return area


METRICS = (
    Metric(
        "aurc",
        aurc,
        source="decisions",
        order=60,
        about="mean, over k, of the error among the k most confident",
        better="lower",
    ),
)

__all__ = ["METRICS", "aurc"]
