"""When a curve is too small, collapsing, growing or zero: thresholds, and why they are where they are."""

import itertools
import math
import statistics

from codistill.analysis.curves import Curve

# A term a hundredth as large as the task's moves the weights about a hundredth as far: no run can tell it from none.
TOO_SMALL = 0.01
# At a twentieth of its peak a term no longer has an effect; a task term falls as far by fitting the
# data, so it only counts where the task's own share is several times larger, and where at most a twentieth of the task
# term is left of it: at the end of a sound run on few examples both fall to nearly nothing together.
COLLAPSED = 0.05
FOLLOWS = 5.0
# Peers grow apart somewhat while they fit; three times the early level, and more than the labels say, is another thing.
GROWN = 3.0
# A run that diverges stops within a few epochs; a term that rises all the time to this many task terms is on that way.
RUNAWAY = 30.0
# What rounding in float32 leaves of a divergence that is 0; peers that start apart have a thousand times as much.
IDENTICAL = 1e-9
FEWEST = 4  # epochs, below which the only warnings are of a runaway and of identical peers


def ratio(value: float, task: float) -> float:
    """A term beside the task's; infinite beside a task term of 0."""
    return value / task if task > 0 else math.inf if value > 0 else 0.0


def too_small(curve: Curve) -> bool:
    """Below a hundredth of the task term in every epoch."""
    return max(ratio(v, t) for v, t in zip(curve.value, curve.task, strict=True)) < TOO_SMALL


def collapsing(curve: Curve) -> bool:
    """Ends at a few percent of its peak and of the task term, which kept several times as large a share of its own."""
    if len(curve.value) < FEWEST:
        return False
    peak = max(range(len(curve.value)), key=lambda k: curve.value[k])
    if not curve.value[peak] > 0 or ratio(curve.value[-1], curve.task[-1]) >= COLLAPSED:
        return False
    left = curve.value[-1] / curve.value[peak]
    return left < COLLAPSED and ratio(curve.task[-1], curve.task[peak]) > FOLLOWS * left


def growing(curve: Curve) -> bool:
    """Rises over the second half, to several times its early level and above the task term; or runs away."""
    n = len(curve.value)
    if _runaway(curve):
        return True
    if n < FEWEST:
        return False
    early = statistics.fmean(curve.value[: max(1, n // 4)])
    third, last = statistics.fmean(curve.value[n // 2 : -(n // 4)]), statistics.fmean(curve.value[-(n // 4) :])
    return last > third and last > GROWN * early and last > statistics.fmean(curve.task[-(n // 4) :])


def _runaway(curve: Curve) -> bool:
    """Rises in every epoch, however few, to several times its first level and many times the task term."""
    rises = all(after > before for before, after in itertools.pairwise(curve.value))
    far = curve.value[-1] > GROWN * curve.value[0] and ratio(curve.value[-1], curve.task[-1]) > RUNAWAY
    return len(curve.value) > 1 and rises and far


def identical(curve: Curve) -> bool:
    """No divergence in the first epoch: the same weights."""
    return curve.value[0] < IDENTICAL


__all__ = [
    "COLLAPSED",
    "FEWEST",
    "FOLLOWS",
    "GROWN",
    "IDENTICAL",
    "RUNAWAY",
    "TOO_SMALL",
    "collapsing",
    "growing",
    "identical",
    "ratio",
    "too_small",
]
