"""Neuron selectivity transfer."""

from torch import Tensor

from codistill.losses.maps import positions, unit


def nst(students: Tensor, sources: Tensor) -> Tensor:
    """MMD^2 between the channel maps of both: mean k(t, t) + mean k(s, s) - 2 mean k(s, t), k(a, b) = (a . b)^2.

    Maps are divided by their norm over positions, the means are over all pairs of channels and over samples. Huang and
    Wang, arXiv:1707.01219.

    Args:
        students: maps ``[E, B, C, H, W]``.
        sources: maps ``[E, B, C', H, W]``, of any number of channels.

    Returns: ``[E]``, never below 0 but for rounding. Memory: ``E B C C'``.
    """
    s, t = unit(positions(students)), unit(positions(sources))
    return _kernel(t, t) + _kernel(s, s) - 2.0 * _kernel(s, t)


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.transpose(-1, -2)).square().flatten(1).mean(1)
