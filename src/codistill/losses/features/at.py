"""Attention transfer."""

from torch import Tensor

from codistill.losses.maps import positions, unit


def attention(maps: Tensor, p: float = 2.0) -> Tensor:
    """Q = sum_c |F_c|^p, divided by its norm over positions (+ 1e-6): ``[E, B, C, ...]`` -> ``[E, B, positions]``."""
    return unit(positions(maps).abs().pow(p).sum(2), eps=1e-6)


def at(students: Tensor, sources: Tensor, *, p: float = 2.0) -> Tensor:
    """Mean over samples and positions of (Q_student - Q_source)^2. Zagoruyko and Komodakis, arXiv:1612.03928.

    Args:
        students: maps ``[E, B, C, H, W]``.
        sources: maps ``[E, B, C', H, W]``, of any number of channels.
        p: at least 1.

    Returns: ``[E]``.
    """
    return (attention(students, p) - attention(sources, p)).square().flatten(1).mean(1)
