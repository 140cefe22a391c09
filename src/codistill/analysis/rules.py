"""When a course is too small, dying out, out of hand or nothing: thresholds, and why they are where they are."""

import itertools
import math
import statistics

from codistill.analysis.courses import Course

# A term a hundredth as large as the task's moves the weights about a hundredth as far: no run can tell it from none.
TOO_SMALL = 0.01
# At a twentieth of its peak a term no longer does what it was put there for; a task term falls as far by fitting the
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
FEWEST = 4  # epochs, below which no warning is given of a course, but of a runaway and of identical peers


def ratio(value: float, task: float) -> float:
    """A term beside the task's; infinite beside a task term of 0."""
    return value / task if task > 0 else math.inf if value > 0 else 0.0


def too_small(course: Course) -> bool:
    """Below a hundredth of the task term in every epoch."""
    return max(ratio(v, t) for v, t in zip(course.value, course.task, strict=True)) < TOO_SMALL


def collapsing(course: Course) -> bool:
    """Ends at a few percent of its peak and of the task term, which kept several times as large a share of its own."""
    if len(course.value) < FEWEST:
        return False
    peak = max(range(len(course.value)), key=lambda k: course.value[k])
    if not course.value[peak] > 0 or ratio(course.value[-1], course.task[-1]) >= COLLAPSED:
        return False
    left = course.value[-1] / course.value[peak]
    return left < COLLAPSED and ratio(course.task[-1], course.task[peak]) > FOLLOWS * left


def growing(course: Course) -> bool:
    """Rises over the second half, to several times its early level and above the task term; or runs away."""
    n = len(course.value)
    if _runaway(course):
        return True
    if n < FEWEST:
        return False
    early = statistics.fmean(course.value[: max(1, n // 4)])
    third, last = (statistics.fmean(part) for part in (course.value[n // 2 : -(n // 4)], course.value[-(n // 4) :]))
    return last > third and last > GROWN * early and last > statistics.fmean(course.task[-(n // 4) :])


def _runaway(course: Course) -> bool:
    """Rises in every epoch, however few, to several times its first level and many times the task term."""
    rises = all(after > before for before, after in itertools.pairwise(course.value))
    far = course.value[-1] > GROWN * course.value[0] and ratio(course.value[-1], course.task[-1]) > RUNAWAY
    return len(course.value) > 1 and rises and far


def identical(course: Course) -> bool:
    """No divergence in the first epoch: the same weights."""
    return course.value[0] < IDENTICAL


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
