"""Relational knowledge distillation: distances and angles between the samples of a batch. Park et al., CVPR 2019."""

import torch
from torch import Tensor
from torch.nn import functional as F


def rkd_distance(students: Tensor, sources: Tensor) -> Tensor:
    """Smooth L1 between the distances of samples, mean over all B^2 pairs. arXiv:1904.05068.

    Each side's distances are divided by the mean of its positive ones, so both sides may have any width and scale. The
    diagonal is 0.

    Args:
        students: ``[E, B, ...]``; a sample is all that follows B.
        sources: ``[E, B, ...]``.

    Returns: ``[E]``. Memory: ``E B B F``.
    """
    return _smooth_l1(_distances(students), _distances(sources))


def rkd_angle(students: Tensor, sources: Tensor) -> Tensor:
    """Smooth L1 between cos(x_j - x_i, x_k - x_i), mean over all B^3 triplets. arXiv:1904.05068.

    Args and returns: as of `rkd_distance`. Memory: ``E B B B``.
    """
    return _smooth_l1(_cosines(students), _cosines(sources))


def _differences(values: Tensor) -> tuple[Tensor, Tensor]:
    """x_j - x_i, ``[E, B (i), B (j), F]``, and its length; where that is 0 its gradient is."""
    flat = values.flatten(2)
    differences = flat.unsqueeze(1) - flat.unsqueeze(2)
    return differences, torch.linalg.vector_norm(differences, dim=-1)


def _distances(values: Tensor) -> Tensor:
    _, lengths = _differences(values)
    count = (lengths > 0).sum((1, 2), keepdim=True).clamp(min=1)
    return lengths / _above_zero(lengths.sum((1, 2), keepdim=True) / count)


def _cosines(values: Tensor) -> Tensor:
    differences, lengths = _differences(values)
    directions = differences / _above_zero(lengths).unsqueeze(-1)
    return directions @ directions.transpose(-1, -2)


def _above_zero(values: Tensor) -> Tensor:
    """1 for 0, so that equal samples are divided by it."""
    return values.where(values > 0, values.new_ones(()))


def _smooth_l1(students: Tensor, sources: Tensor) -> Tensor:
    return F.smooth_l1_loss(students, sources, reduction="none").flatten(1).mean(1)
