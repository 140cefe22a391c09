"""Are the probabilities right, and highest where the class is? A NaN logit makes each of these NaN."""

import torch
from torch import Tensor

from codistill.losses.posterior import log_posterior
from codistill.metrics import Metric
from codistill.metrics.accuracy import correct
from codistill.metrics.labels import check


def nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log p(label), in nats: ``[..., N, C]``, ``[N]`` -> ``[...]``.

    Raises ValueError where the shapes or labels do not fit.
    """
    check(logits, labels)
    log_p = log_posterior(logits)
    return -log_p.gather(-1, labels.expand(log_p.shape[:-1]).unsqueeze(-1)).squeeze(-1).mean(-1)


def ece(logits: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """Expected calibration error: sum_b |accuracy_b - confidence_b| n_b / N.

    The confidence of an example is its highest probability; bin b holds those in (b/bins, (b+1)/bins].
    Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599.

    Args:
        logits: ``[..., N, C]``.
        labels: class numbers ``[N]``.
        bins: of equal width, at least 1.

    Returns: ``[...]``, a fraction (papers often print it times 100).

    Raises:
        ValueError: shapes or labels that do not fit; `bins` below 1.
    """
    confidence, inside = _binned(logits, labels, bins)
    gap = correct(logits, labels).to(confidence.dtype) - confidence
    # n_b (accuracy_b - confidence_b) is the sum of the gaps in b
    return (gap.unsqueeze(-1) * inside).sum(-2).abs().sum(-1) / labels.numel()


def reliability(logits: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """What a reliability diagram shows, bin by bin: see `ece`.

    Args:
        logits: ``[..., N, C]``.
        labels: class numbers ``[N]``.
        bins: of equal width, at least 1.

    Returns: ``[..., bins, 3]``: how many examples, the sum of their confidences, how many of them are right.

    Raises:
        ValueError: shapes or labels that do not fit; `bins` below 1.
    """
    confidence, inside = _binned(logits, labels, bins)
    right = correct(logits, labels).to(confidence.dtype)
    sums = ((each.unsqueeze(-1) * inside).sum(-2) for each in (torch.ones_like(confidence), confidence, right))
    return torch.stack(list(sums), -1)


def _binned(logits: Tensor, labels: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """The confidences ``[..., N]``, and which of the bins each is in, ``[..., N, bins]``.

    Sums over a bin are made by this mask, since scatter_add on a GPU adds in another order each time.
    """
    check(logits, labels)
    if bins < 1:
        raise ValueError(f"bins={bins}: choose 1 or more (15 is usual)")
    confidence = log_posterior(logits).amax(-1).exp()
    edges = torch.arange(1, bins, device=confidence.device, dtype=confidence.dtype) / bins
    bin_of = torch.bucketize(confidence, edges)
    return confidence, bin_of.unsqueeze(-1) == torch.arange(bins, device=confidence.device)


def brier(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of sum_m (p_m - [m = label])^2, from 0 to 2: ``[..., N, C]``, ``[N]`` -> ``[...]``.

    Brier 1950, all classes summed (for two classes, twice the one-sided score).
    Raises ValueError where the shapes or labels do not fit.
    """
    check(logits, labels)
    p = log_posterior(logits).exp()
    truth = torch.nn.functional.one_hot(labels.long(), p.shape[-1])
    return (p - truth).square().sum(-1).mean(-1)


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
    peers = (values.unsqueeze(0).flatten(0, -2) for values in (confidence, wrong))
    areas = [_area(*peer) for peer in zip(*peers, strict=True)]
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
    Metric("nll", nll, 20, "mean of -log p(label)", "lower", "NLL", "classes labels", "nats"),
    Metric("ece", ece, 30, "mean gap of confidence and accuracy in 15 equal bins", "lower", "ECE", "classes labels"),
    Metric("brier", brier, 40, "mean of sum_m (p_m - [m = label])²", "lower", "Brier", "classes", "0 to 2"),
    Metric("aurc", aurc, 60, "mean, over k, of the error among the k most confident", "lower"),
)
