"""The interval of what two trainings have in common, from several trainings."""

import numpy as np
from numpy.typing import ArrayLike

from codistill.statistics.interval import paired_interval


def pairs_interval(values: ArrayLike) -> tuple[float, float, float]:
    """(mean, low, high) of a number that every pair of S trainings has, at 95 %.

    A training is in S - 1 pairs, so the pairs are no sample. The trainings are: leaving out training s gives the mean
    m_s over the pairs of the others, and S m - (S - 1) m_s, the jackknife's pseudo-values, are a sample of S numbers
    with mean m, of which this is Student's interval.

    Args:
        values: ``[S, S]``, symmetric; the diagonal is not read. Two trainings give (mean, nan, nan).

    Raises:
        ValueError: fewer than two trainings, or no square.
    """
    pairs = np.array(values, dtype=np.float64)
    s = len(pairs)
    if s < 2 or pairs.shape != (s, s):
        raise ValueError(f"values of shape {list(pairs.shape)}: give a square of two or more trainings")
    np.fill_diagonal(pairs, 0.0)
    mean = pairs.sum() / (s * (s - 1))
    if s == 2:
        return paired_interval([mean])
    without = (pairs.sum() - 2 * pairs.sum(1)) / ((s - 1) * (s - 2))
    return paired_interval(s * mean - (s - 1) * without)


__all__ = ["pairs_interval"]
