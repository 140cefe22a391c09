"""Curves with bands around them, in panels with one legend, as all figures of courses draw them."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.report.numbers import known
from codistill.report.palette import Style
from codistill.report.plots.layout import dress, legend_height
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
    panels: Sequence[Panel], legends: Mapping[str, Legend], height: int, *, stacked: bool = False, at: str = ""
) -> go.Figure | None:
    """The panels with one legend; None where none has a curve.

    Args:
        panels: with the curves of methods.
        legends: of each method, in their order.
        height: without the legend's.
        stacked: over one x axis, not side by side.
        at: what stands before x where one points at it.
    """
    if not any(panel.curves for panel in panels):
        return None
    n, named = len(panels), dict.fromkeys(method for panel in panels for method in panel.curves)
    if stacked:
        figure = make_subplots(rows=n, cols=1, shared_xaxes=True, vertical_spacing=0.14 / n)
    else:
        figure = make_subplots(rows=1, cols=n, horizontal_spacing=0.09)
    dress(figure, height + legend_height(named), len(named))
    for number, panel in enumerate(panels, start=1):
        place = {"row": number if stacked else 1, "col": 1 if stacked else number}
        for method, legend in legends.items():
            if method in panel.curves:
                first = not any(method in before.curves for before in panels[: number - 1])
                _draw(figure, panel.curves[method], legend, at, legendgroup=method, showlegend=first, **place)
        figure.update_xaxes(title_text=panel.x_title, **place)
        figure.update_yaxes(title_text=panel.y_title, **place)
    return figure


def _draw(
    figure: go.Figure, curve: Sequence[Point], legend: Legend, at: str, *, showlegend: bool, **place: object
) -> None:
    """Add a curve to a subplot, with its band where that has any width."""
    style, x = legend.style, [point.x for point in curve]
    if any(point.low != point.high for point in curve):
        figure.add_scatter(
            x=x + x[::-1],
            y=[point.high for point in curve] + [point.low for point in reversed(curve)],
            fill="toself",
            fillcolor=style.faint(0.13),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            **place,
        )
    figure.add_scatter(
        x=x,
        y=[point.y for point in curve],
        mode="lines+markers" if len(x) < _MARKED else "lines",
        name=legend.label,
        line={"color": style.colour, "dash": style.dash, "width": 2},
        marker={"color": style.colour, "symbol": style.symbol, "size": 6},
        showlegend=showlegend,
        hovertemplate=f"{legend.label}<br>{at}%{{x:.4~g}}: %{{y:.4g}}<extra></extra>",
        **place,
    )
