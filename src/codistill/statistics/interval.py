"""Means over seeds or networks, with their spread and how far chance reaches."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np


@dataclass(frozen=True)
class Gain:
    """What a method gains over the baseline, a paired difference over seeds.

    Attributes:
        mean: over seeds.
        interval: its 95 % interval, Student's t over seeds; None for one seed.
        per_seed: the difference of each seed.
        crossed: the interval for other test examples too, where it is known; see `crossed_interval`.
    """

    mean: float
    interval: tuple[float, float] | None
    per_seed: tuple[float, ...]
    crossed: tuple[float, float] | None = None


def mean_sd(values: Iterable[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1 below the line); one value gives (value, nan).

    Raises ValueError for no values.
    """
    x = np.array([float(v) for v in values], dtype=np.float64)
    if not x.size:
        raise ValueError("no values: a mean needs at least one")
    return float(x.mean()), float(x.std(ddof=1)) if x.size > 1 else math.nan


def paired_interval(differences: Iterable[float], level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of differences, one per seed: mean -+ t_{n-1} sd / sqrt(n), Student's t.

    The seeds are the sample, so n is the number of seeds and not of networks. One difference gives
    (mean, nan, nan).

    Raises:
        ValueError: no differences; `level` outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level}: choose one between 0 and 1, such as 0.95")
    from scipy import stats

    x = [float(d) for d in differences]
    mean, sd = mean_sd(x)
    if len(x) == 1:
        return mean, math.nan, math.nan
    reach = float(stats.t.ppf(0.5 + level / 2, len(x) - 1)) * sd / math.sqrt(len(x))
    return mean, mean - reach, mean + reach


def paired_p(differences: Sequence[float]) -> float:
    """The two-sided p-value of differences, one per seed: below 0.05 where their 95 % interval leaves out zero.

    NaN for one seed, and where all seeds differ by the same.
    """
    from scipy import special

    mean, sd = mean_sd(differences)
    n = len(differences)
    return 2 * float(special.stdtr(n - 1, -abs(mean) * math.sqrt(n) / sd)) if n > 1 and sd > 0 else math.nan


def paired_gain(seeds: Iterable[Sequence[tuple[float, float]]]) -> Gain:
    """The gain of networks over their baselines: averaged within each seed, then over seeds.

    d_s = mean_i value_si - mean_i baseline_si; mean_s d_s -+ t_{n-1} sd(d) / sqrt(n).

    Args:
        seeds: of each seed, (value, baseline) of every network.

    Raises:
        ValueError: no seeds, or a seed without networks.
    """
    differences = [fmean(value for value, _ in pairs) - fmean(base for _, base in pairs) for pairs in seeds]
    mean, low, high = paired_interval(differences)
    return Gain(mean, None if len(differences) == 1 else (low, high), tuple(differences))
