"""Weights that rise over the first part of the training."""

from math import exp


def ramp(progress: float | None, part: float) -> float:
    """The sigmoid ramp exp(-5 (1 - t)^2) from e^-5 to 1 over the first ``part`` of the training, then 1.

    Laine and Aila 2017, arXiv:1610.02242. Without a ramp (``part`` 0) or where progress is not known: 1.
    """
    return exp(-5.0 * (1.0 - rise(progress, part)) ** 2)


def rise(progress: float | None, part: float) -> float:
    """A straight line from 0 to 1 over the first ``part`` of the training, then 1; as `ramp` where there is none."""
    return 1.0 if progress is None or part <= 0 else min(progress / part, 1.0)
