"""How much the peers of a cohort differ, pair by pair. With equal peers an ensemble brings nothing."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TypeVar

import torch
from torch import Tensor

from codistill.losses.divergences.kl import relative_entropy
from codistill.losses.posterior import log_posterior
from codistill.metrics import Metric
from codistill.metrics.accuracy import correct
from codistill.metrics.labels import check

Value = TypeVar("Value")


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
    log_p = log_posterior(logits)
    rows = [relative_entropy(log_p, student.unsqueeze(-3)).mean(-1) for student in log_p.unbind(-3)]
    return torch.stack(rows, dim=-2).clamp(min=0.0)  # rounding may leave it just below


def js_matrix(logits: Tensor) -> Tensor:
    """Mean over the examples of the Jensen-Shannon divergence, in nats, 0 to log 2: ``[..., P, N, C]`` -> ``[P, P]``.

    (KL(p_j || m) + KL(p_i || m)) / 2 with m = (p_i + p_j) / 2; symmetric.
    """
    log_p = log_posterior(logits)
    rows = []
    for one in log_p.unbind(-3):
        middle = torch.logaddexp(log_p, one.unsqueeze(-3)) - math.log(2.0)
        both = relative_entropy(log_p, middle) + relative_entropy(one.unsqueeze(-3).expand_as(middle), middle)
        rows.append(0.5 * both.mean(-1))
    return torch.stack(rows, dim=-2).clamp(min=0.0)  # rounding may leave it just below


def off_diagonal(matrix: Sequence[Sequence[Value]]) -> list[Value]:
    """The entries of a ``[P, P]`` matrix that are about two different peers, row by row."""
    return [value for i, row in enumerate(matrix) for j, value in enumerate(row) if i != j]


def off_diagonal_mean(matrices: Iterable[Sequence[Sequence[float | None]]]) -> float | None:
    """The mean off the diagonals of all matrices together; entries that are None are left out, and None is the answer
    where there is no other."""
    values = [value for matrix in matrices for value in off_diagonal(matrix) if value is not None]
    return fmean(values) if values else None


METRICS = (
    Metric(
        "error_correlation",
        error_correlation,
        source="pairs",
        order=20,
        about='Pearson\'s r of "is wrong": 1, on the very same examples; 0, as if by chance; null for a network that '
        "is always right",
    ),
    Metric(
        "kl",
        lambda logits, labels: kl_matrix(logits),
        source="pairs",
        order=30,
        about="mean of KL(p_source ‖ p_student) in nats, at [student, source] as in a graph",
        unit="nats",
    ),
    Metric(
        "js",
        lambda logits, labels: js_matrix(logits),
        source="pairs",
        order=40,
        about="mean of the Jensen-Shannon divergence, 0 to log 2 nats",
        unit="nats",
    ),
)

__all__ = ["METRICS", "error_correlation", "js_matrix", "kl_matrix", "off_diagonal", "off_diagonal_mean"]
