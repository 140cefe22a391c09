"""Curves with bands around them, in panels with one legend, as all figures of courses draw them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from codistill.report.numbers import known
from codistill.report.palette import Style
from codistill.report.plots.drawing import Plot, legend, legend_height, logarithmic, whole
from codistill.statistics.interval import mean_sd

_MARKED = 12  # fewer points than this are marked

Values = Mapping[float, Sequence[float]]  # over networks and seeds, at each x


class Point(NamedTuple):
    """A value at x, between the ends of a band."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """One of several figures with the same legend: a curve per method."""

    y_title: str
    curves: Mapping[str, Sequence[Point]]
    x_title: str | None = None


@dataclass(frozen=True)
class Legend:
    """Whose a curve is: a label and a style."""

    label: str
    style: Style


def by_method(values: Iterable[tuple[str, float, float | None]], floor: float = -math.inf) -> dict[str, Values]:
    """Of (method, x, y), the known values of each method at each x; those below ``floor`` as if they were there."""
    methods: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for method, x, y in values:
        if known(y):
            methods[method][x].append(max(y, floor))
    return {method: dict(sorted(each.items())) for method, each in methods.items()}


def ranging(values: Values) -> list[Point]:
    """Means at each x, and a band from the lowest to the highest value."""
    return [Point(x, mean_sd(each)[0], min(each), max(each)) for x, each in values.items()]


def spreading(values: Values, floor: float = -math.inf) -> list[Point]:
    """Means at each x, and a band of one standard deviation, no lower than ``floor``."""
    return [around(x, *mean_sd(each), floor) for x, each in values.items()]


def around(x: float, mean: float, sd: float | None, floor: float = -math.inf) -> Point:
    """A mean with a band of one standard deviation, where that is known."""
    reach = sd if known(sd) else 0.0
    return Point(x, mean, max(mean - reach, floor), mean + reach)


def figure_of(
    panels: Sequence[Panel],
    legends: Mapping[str, Legend],
    says: str,
    *,
    height: float = 200.0,
    x_title: str | None = None,
    log: str = "",
    zero: bool = False,
) -> Plot | None:
    """The panels below each other with one legend; None where none has a curve.

    Args:
        panels: with the curves of methods.
        legends: of each method, in their order.
        says: what is to be seen.
        height: of one panel, px.
        x_title: of the one axis of all panels; None where each has its own.
        log: the axes that are logarithmic: ``x``, ``y`` or ``xy``.
        zero: 0 is on the y axis.
    """
    if not any(panel.curves for panel in panels):
        return None
    named = [method for method in legends if any(method in panel.curves for panel in panels)]
    labels = [legends[method].label for method in named]

    def paint(canvas: Canvas) -> None:
        all_axes = canvas.subplots(len(panels), 1, sharex=x_title is not None, squeeze=False)[:, 0]
        looks: dict[str, object] = {}
        for panel, axes in zip(panels, all_axes, strict=True):
            for method in (method for method in named if method in panel.curves):
                look = _draw(axes, panel.curves[method], legends[method].style)
                looks.setdefault(method, look)
            axes.set(xlabel=panel.x_title or "", ylabel=panel.y_title)
            for which in log:
                logarithmic(axes, which)
            if zero:
                axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        if x_title is not None:
            whole(all_axes[-1])
            all_axes[-1].set_xlabel(x_title)
        legend(canvas, [(legends[method].label, looks[method]) for method in named])

    x_name = x_title or "x"
    rows = tuple(
        (panel.y_title, legends[method].label, *point)
        for panel in panels
        for method in named
        for point in panel.curves.get(method, ())
    )
    columns = ("panel", "row", x_name.lower(), "mean", "low", "high")
    return Plot(height * len(panels) + legend_height(labels) + 20, paint, columns, rows, says)


def _draw(axes: Axes, curve: Sequence[Point], style: Style) -> object:
    """A curve, with its band where that has any width; returned is its line."""
    x = [point.x for point in curve]
    if any(point.low != point.high for point in curve):
        low, high = [point.low for point in curve], [point.high for point in curve]
        axes.fill_between(x, low, high, color=style.colour, alpha=0.15, linewidth=0)
    marker = style.marker if len(x) < _MARKED else ""
    (line,) = axes.plot(
        x, [point.y for point in curve], color=style.colour, linestyle=style.dash, marker=marker, markersize=5
    )
    return line
