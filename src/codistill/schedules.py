"""Schedules: factors of the learning rate as functions of progress, 0 to 1; ``__all__`` is the list."""

from collections.abc import Callable
from fractions import Fraction
from math import cos, pi

from codistill.checks import number

Schedule = Callable[[float], float]


def step(at: str | float = "0.3/0.6/0.9", by: float = 0.1) -> Schedule:
    """Times ``by`` at each of these fractions of training: ``at=0.3/0.6/0.9`` is 60/120/180 of 200 epochs."""
    number("by", by)
    try:
        marks = [float(Fraction(mark)) for mark in str(at).split("/")]
    except ValueError:
        marks = []
    if not marks or not all(0.0 < mark < 1.0 for mark in marks):
        raise ValueError(f"at={at!r}: give fractions of training between 0 and 1, such as 0.3/0.6/0.9")
    return lambda progress: by ** sum(progress >= mark for mark in marks)


def cosine(floor: float = 0.0) -> Schedule:
    """Half a cosine from 1 to ``floor``."""
    number("floor", floor)
    return lambda progress: floor + (1.0 - floor) * 0.5 * (1.0 + cos(pi * progress))


def linear(floor: float = 0.0) -> Schedule:
    """A straight line from 1 to ``floor``."""
    number("floor", floor)
    return lambda progress: 1.0 - (1.0 - floor) * progress


def constant() -> Schedule:
    """1 throughout."""
    return lambda progress: 1.0


__all__ = ["constant", "cosine", "linear", "step"]
