"""Attentive feature distillation."""

from torch import Tensor

from codistill.losses.maps import positions, unit


def afd(students: Tensor, sources: Tensor, weights: Tensor) -> Tensor:
    """sum_c rho_c * mean over positions of (s_c - t_c)^2, mean over samples. Wang et al., ICLR 2020.

    Channel maps s_c and t_c are divided by their norm over positions (+ 1e-6).

    Args:
        students: maps ``[E, B, C, H, W]``.
        sources: the same shape.
        weights: rho, ``[E, B, C]``; rows sum to 1.

    Returns: ``[E]``.
    """
    s, t = unit(positions(students), eps=1e-6), unit(positions(sources), eps=1e-6)
    distance = (s - t).square().mean(-1)  # [E, B, C]
    return (weights * distance).sum(-1).mean(-1)
