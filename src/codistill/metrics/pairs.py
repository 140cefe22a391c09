"""How much the peers of a cohort differ, pair by pair. With equal peers an ensemble brings nothing."""

from collections.abc import Iterable, Sequence
from functools import partial
from statistics import fmean
from typing import TypeVar

import torch
from torch import Tensor

from codistill.losses.divergence import Divergence
from codistill.losses.divergences.js import js
from codistill.losses.divergences.kl import kl
from codistill.losses.posterior import log_posterior
from codistill.metrics import Metric, unlabelled
from codistill.metrics.accuracy import correct
from codistill.metrics.labels import check

Value = TypeVar("Value")
AT_ONCE = 2**18  # numbers in a matrix's rows that are computed together


def agreement(logits: Tensor) -> Tensor:
    """Share of the examples on which two peers choose the same class: ``[..., P, N, C]`` -> ``[..., P, P]``.

    A peer with a NaN logit chooses no class, so it agrees with nobody on that example, itself included.
    """
    choice = logits.argmax(-1).masked_fill(logits.isnan().any(-1), -1)
    same = (choice.unsqueeze(-2) == choice.unsqueeze(-3)) & (choice.unsqueeze(-2) >= 0)
    return same.to(torch.promote_types(logits.dtype, torch.float32)).mean(-1)


def error_correlation(logits: Tensor, labels: Tensor) -> Tensor:
    """Do two peers err on the same examples? Pearson's r of their error indicators, the phi coefficient.

    1: on the very same ones; 0: as if by chance; below 0: rather on others.

    Args:
        logits: ``[..., P, N, C]``.
        labels: class numbers ``[N]``.

    Returns: ``[..., P, P]``; NaN for a peer that is always right, or always wrong.

    Raises:
        ValueError: shapes or labels that do not fit.
    """
    check(logits, labels)
    wrong = (~correct(logits, labels)).double()
    gap = wrong - wrong.mean(-1, keepdim=True)
    deviation = gap.square().sum(-1).sqrt()
    covariance = gap @ gap.transpose(-1, -2)
    # 0 / 0 where a peer never errs: it has no correlation with anybody
    return (covariance / (deviation.unsqueeze(-1) * deviation.unsqueeze(-2))).to(logits.dtype)


def kl_matrix(logits: Tensor) -> Tensor:
    """Mean over the examples of KL(p_j || p_i), in nats: ``[..., P, N, C]`` -> ``[..., P, P]``, at [i, j].

    Indexed as a graph's weights are, [student i, source j]: what i would have to learn to be like j.
    Infinite where p_i is 0 and p_j is not.
    """
    return _matrix(kl, logits)


def js_matrix(logits: Tensor) -> Tensor:
    """Mean over the examples of the Jensen-Shannon divergence, in nats, 0 to log 2: ``[..., P, N, C]`` -> ``[P, P]``.

    (KL(p_j || m) + KL(p_i || m)) / 2 with m = (p_i + p_j) / 2; symmetric.
    """
    return _matrix(js, logits)


def _matrix(divergence: Divergence, logits: Tensor) -> Tensor:
    log_p = log_posterior(logits)
    students = torch.split(log_p, max(1, AT_ONCE // max(log_p.numel(), 1)), -3)
    sources = log_p.unsqueeze(-4)
    rows = [divergence.between(sources, some.unsqueeze(-3)).mean(-1) for some in students]
    return torch.cat(rows, dim=-2).clamp(min=0.0)  # rounding may leave it just below


def off_diagonal(matrix: Sequence[Sequence[Value]]) -> list[Value]:
    """The entries of a ``[P, P]`` matrix that are about two different peers, row by row."""
    return [value for i, row in enumerate(matrix) for j, value in enumerate(row) if i != j]


def off_diagonal_mean(matrices: Iterable[Sequence[Sequence[float | None]]]) -> float | None:
    """The mean off the diagonals of all matrices together, without entries that are None; None where all are."""
    values = [value for matrix in matrices for value in off_diagonal(matrix) if value is not None]
    return fmean(values) if values else None


_pairs = partial(Metric, source="pairs")
METRICS = (
    _pairs("agreement", unlabelled(agreement), 10, "share of examples on which both choose the same class"),
    _pairs("error_correlation", error_correlation, 20, "Pearson's r of their errors; null for one never wrong"),
    _pairs("kl", unlabelled(kl_matrix), 30, "mean of KL(source ‖ student), at [student, source]", unit="nats"),
    _pairs("js", unlabelled(js_matrix), 40, "mean of the Jensen-Shannon divergence, 0 to log 2", unit="nats"),
)
