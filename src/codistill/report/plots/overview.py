"""The gains of several experiments in one picture: an SVG that needs nothing and reads on light and dark pages, and a
figure of the same layout to write as files.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from matplotlib.figure import Figure as Canvas

from codistill.report.lessons import Lesson
from codistill.report.numbers import points, wrapped
from codistill.report.plots.drawing import GRID, INK, PAPER, SOFT, Plot, Value
from codistill.report.prose import environment
from codistill.report.verdict import is_mutual
from codistill.study.summary import SummaryRow

WIDTH, LEFT, RIGHT = 720, 236, 560  # of the picture; where its axis begins and ends
LETTERS = 30  # of a label's line
LINE, HEAD, FOOT = 17, 30, 72  # heights
Kind = Literal["peers", "control", "pooled"]
SAYS: Mapping[Kind, str] = {
    "peers": "networks that learn from each other",
    "control": "without peers",
    "pooled": "all labels pooled",
}
PLACES = (24, 280, 410)  # of the kinds, below the axis
AXIS = "Gain over training alone, points [95 % interval]"
LOOKS: Mapping[Kind, tuple[str, str]] = {
    "peers": ("D", "#0072b2"),
    "control": ("o", "#6b7580"),
    "pooled": ("s", "#009e73"),
}


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


@dataclass(frozen=True)
class Layout:
    """Where everything is: panels below one another, the axis that they share, and their height together."""

    panels: tuple[Panel, ...]
    axis: Axis
    height: float

    @property
    def kinds(self) -> list[Kind]:
        """Those that there are."""
        there = {mark.kind for panel in self.panels for mark in panel.marks}
        return [kind for kind in SAYS if kind in there]


def overview(lessons: Sequence[Lesson]) -> str:
    """The gains of all rows over training alone with their intervals, experiment by experiment; empty without any."""
    layout = _layout(lessons)
    if layout is None:
        return ""
    template = environment().get_template("overview.svg")
    return template.render(
        layout=layout, width=WIDTH, left=LEFT, right=RIGHT, foot=FOOT, says=SAYS, places=PLACES, axis_title=AXIS
    )


def overview_figure(lessons: Sequence[Lesson]) -> Plot | None:
    """The picture of `overview` as a figure with its numbers; None without any gain."""
    layout = _layout(lessons)
    if layout is None:
        return None
    numbers: list[tuple[Value, ...]] = []
    for lesson, rows in _gained(lessons):
        for row in rows:
            assert row.gain is not None
            low, high = (100 * end for end in row.gain.interval) if row.gain.interval else (None, None)
            kind = SAYS[_kind(lesson, row)]
            numbers.append((lesson.title, row.label, kind, 100 * row.gain.mean, low, high, row.seeds))
    columns = ("experiment", "row", "kind", "gain, points", "low", "high", "seeds")
    says = "Gains over training alone, in percentage points, experiment by experiment: means with 95 % intervals"
    return Plot(layout.height + FOOT, partial(_paint, layout), columns, tuple(numbers), says, WIDTH)


def _paint(layout: Layout, canvas: Canvas) -> None:
    canvas.set_layout_engine("none")
    axes = canvas.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(layout.height + FOOT, 0))
    axes.set_axis_off()

    def write(x: float, y: float, text: str, **looks: Any) -> None:
        axes.text(x, y, text, **{"color": INK, "fontsize": 11, "va": "center", **looks})

    def mark(kind: Kind, x: float, y: float) -> None:
        marker, colour = LOOKS[kind]
        inside = PAPER if kind == "pooled" else colour
        axes.plot([x], [y], marker=marker, color=colour, markerfacecolor=inside, markeredgewidth=2, markersize=8)

    for x, text in layout.axis.ticks:
        colour, width = (SOFT, 1.5) if text == "0" else (GRID, 1.0)
        axes.plot([x, x], [8, layout.height + 4], color=colour, linewidth=width)
        write(x, layout.height + 16, text, color=SOFT, ha="center")
    for panel in layout.panels:
        behind = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}  # the axis does not run through it
        write(8, panel.y - 5, panel.title, fontsize=12, fontweight="bold", bbox=behind)
        for one in panel.marks:
            for number, line in enumerate(one.label):
                write(16, one.y + (number - (len(one.label) - 1) / 2) * LINE, line)
            if one.bounds:
                axes.plot(one.bounds, [one.y, one.y], color=LOOKS[one.kind][1])
            mark(one.kind, one.mean, one.y)
            write(RIGHT + 14, one.y, one.said)
    write((LEFT + RIGHT) / 2, layout.height + 34, AXIS, color=SOFT, ha="center")
    for kind, x in zip(layout.kinds, PLACES, strict=False):
        mark(kind, x, layout.height + 58)
        write(x + 12, layout.height + 58, SAYS[kind], color=SOFT)


def _gained(lessons: Sequence[Lesson]) -> list[tuple[Lesson, list[SummaryRow]]]:
    """The rows with gains, of each experiment that has some."""
    rows = [(lesson, [row for row in lesson.summary.rows if row.gain]) for lesson in lessons]
    return [(lesson, each) for lesson, each in rows if each]


def _layout(lessons: Sequence[Lesson]) -> Layout | None:
    """None without any gain."""
    shown = _gained(lessons)
    if not shown:
        return None
    axis = Axis([100 * value for _, rows in shown for row in rows for value in _values(row)])
    panels, y = [], 0.0
    for lesson, rows in shown:
        marks, below = [], y + HEAD
        for mark in _marks(lesson, rows, axis, below):
            marks.append(mark)
            below = mark.y + len(mark.label) * LINE / 2 + 4
        panels.append(Panel(lesson.title, y + 20, tuple(marks)))
        y = below
    return Layout(tuple(panels), axis, y)


def _kind(lesson: Lesson, row: SummaryRow) -> Kind:
    return "pooled" if lesson.is_pooled(row) else "peers" if is_mutual(row) else "control"


def _marks(lesson: Lesson, rows: Sequence[SummaryRow], axis: Axis, y: float) -> Iterator[Mark]:
    for row in rows:
        assert row.gain is not None
        lines = tuple(wrapped(row.label, LETTERS))
        bounds = row.gain.interval
        ends = (axis.at(100 * bounds[0]), axis.at(100 * bounds[1])) if bounds else None
        said = points(row.gain.mean, 1) + (" [{}, {}]".format(*(points(end, 1) for end in bounds)) if bounds else "")
        middle = y + len(lines) * LINE / 2
        yield Mark(_kind(lesson, row), lines, middle, axis.at(100 * row.gain.mean), ends, said)
        y = middle + len(lines) * LINE / 2 + 4


def _values(row: SummaryRow) -> tuple[float, ...]:
    return () if row.gain is None else (row.gain.mean, *(row.gain.interval or ()))


def _step(span: float) -> float:
    """The distance of about five ticks: 1, 2 or 5 times a power of ten."""
    if span <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(span / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / 5)


__all__ = ["overview", "overview_figure"]
