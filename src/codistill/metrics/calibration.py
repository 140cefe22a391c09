"""Are the probabilities right, and not only the class? A NaN logit makes each of these NaN."""

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
    check(logits, labels)
    if bins < 1:
        raise ValueError(f"bins={bins}: choose 1 or more (15 is usual)")
    confidence = log_posterior(logits).amax(-1).exp()
    edges = torch.arange(1, bins, device=confidence.device, dtype=confidence.dtype) / bins
    bin_of = torch.bucketize(confidence, edges)
    gap = correct(logits, labels).to(confidence.dtype) - confidence
    # n_b (accuracy_b - confidence_b) is the sum of the gaps in b; summed by a mask, since
    # scatter_add on a GPU adds in another order each time
    inside = bin_of.unsqueeze(-1) == torch.arange(bins, device=confidence.device)
    return (gap.unsqueeze(-1) * inside).sum(-2).abs().sum(-1) / labels.numel()


def brier(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of sum_m (p_m - [m = label])^2, from 0 to 2: ``[..., N, C]``, ``[N]`` -> ``[...]``.

    Brier 1950, all classes summed (for two classes, twice the one-sided score).
    Raises ValueError where the shapes or labels do not fit.
    """
    check(logits, labels)
    p = log_posterior(logits).exp()
    truth = torch.nn.functional.one_hot(labels.long(), p.shape[-1])
    return (p - truth).square().sum(-1).mean(-1)


METRICS = (
    Metric(
        "nll",
        nll,
        source="decisions",
        order=20,
        about="mean of -log p(label)",
        unit="nats",
        better="lower",
        title="NLL",
        tables=("classes", "labels"),
    ),
    Metric(
        "ece",
        ece,
        source="decisions",
        order=30,
        about="gap between confidence and accuracy in 15 bins of equal width, weighted by their sizes",
        better="lower",
        title="ECE",
        tables=("classes", "labels"),
    ),
    Metric(
        "brier",
        brier,
        source="decisions",
        order=40,
        about="mean of sum_m (p_m - [m = label])²",
        unit="0 to 2",
        better="lower",
        title="Brier",
        tables=("classes",),
    ),
)

__all__ = ["METRICS", "brier", "ece", "nll"]
