"""The gains of several experiments in one picture, an SVG that needs nothing and reads on light and dark pages."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from codistill.report.lessons import Lesson
from codistill.report.numbers import points, wrapped
from codistill.report.prose import environment
from codistill.report.verdict import is_mutual
from codistill.study.summary import SummaryRow

WIDTH, LEFT, RIGHT = 720, 236, 560  # of the picture; where its axis begins and ends
LETTERS = 30  # of a label's line
LINE, HEAD = 17, 30  # heights
Kind = Literal["peers", "control", "pooled"]


@dataclass(frozen=True)
class Mark:
    """A row: its lines of text, its place, its mean and interval on the axis, and its numbers in words."""

    kind: Kind
    label: tuple[str, ...]
    y: float
    mean: float
    bounds: tuple[float, float] | None
    said: str


@dataclass(frozen=True)
class Panel:
    """An experiment's title, its place, and its rows."""

    title: str
    y: float
    marks: tuple[Mark, ...]


class Axis:
    """Gains in points on a line from `LEFT` to `RIGHT`, zero among them."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
        self.step = _step(high - low)
        self.low, self.high = math.floor(low / self.step) * self.step, math.ceil(high / self.step) * self.step
        if self.low == self.high:
            self.high = self.low + self.step

    def at(self, value: float) -> float:
        """Where a gain lies."""
        return round(LEFT + (RIGHT - LEFT) * (value - self.low) / (self.high - self.low), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts."""
        numbers = range(round((self.high - self.low) / self.step) + 1)
        values = [self.low + number * self.step for number in numbers]
        return [(self.at(value), f"{value:+.10g}".replace("-", "−") if abs(value) > 1e-9 else "0") for value in values]


def overview(lessons: Sequence[Lesson]) -> str:
    """The gains of all rows over training alone with their intervals, experiment by experiment; empty without any."""
    shown = [(lesson, [row for row in lesson.summary.rows if row.gain]) for lesson in lessons]
    shown = [(lesson, rows) for lesson, rows in shown if rows]
    if not shown:
        return ""
    axis = Axis([100 * value for _, rows in shown for row in rows for value in _values(row)])
    panels, y = [], 0.0
    for lesson, rows in shown:
        marks, below = [], y + HEAD
        for mark in _marks(lesson, rows, axis, below):
            marks.append(mark)
            below = mark.y + len(mark.label) * LINE / 2 + 4
        panels.append(Panel(lesson.title, y + 20, tuple(marks)))
        y = below
    kinds = [kind for kind in ("peers", "control", "pooled") if any(m.kind == kind for p in panels for m in p.marks)]
    template = environment().get_template("overview.svg")
    return template.render(panels=panels, axis=axis, height=y, kinds=kinds, width=WIDTH, left=LEFT, right=RIGHT)


def _marks(lesson: Lesson, rows: Sequence[SummaryRow], axis: Axis, y: float) -> Iterator[Mark]:
    for row in rows:
        assert row.gain is not None
        lines = tuple(wrapped(row.label, LETTERS))
        kind: Kind = "pooled" if lesson.is_pooled(row) else "peers" if is_mutual(row) else "control"
        bounds = row.gain.interval
        ends = (axis.at(100 * bounds[0]), axis.at(100 * bounds[1])) if bounds else None
        said = points(row.gain.mean, 1) + (" [{}, {}]".format(*(points(end, 1) for end in bounds)) if bounds else "")
        middle = y + len(lines) * LINE / 2
        yield Mark(kind, lines, middle, axis.at(100 * row.gain.mean), ends, said)
        y = middle + len(lines) * LINE / 2 + 4


def _values(row: SummaryRow) -> tuple[float, ...]:
    return () if row.gain is None else (row.gain.mean, *(row.gain.interval or ()))


def _step(span: float) -> float:
    """The distance of about five ticks: 1, 2 or 5 times a power of ten."""
    if span <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(span / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / 5)


__all__ = ["overview"]
