"""A curve with a band around it, as all figures of courses draw it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from codistill.report.numbers import known
from codistill.report.palette import Style
from codistill.statistics.interval import mean_sd

_MARKED = 12  # fewer points than this are marked


@dataclass(frozen=True)
class Curve:
    """Values over x, between the ends of a band."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Legend:
    """Whose a curve is: a key that its curves share, a label and a style."""

    key: str
    label: str
    style: Style


def ranging(x: Iterable[float], columns: Iterable[Sequence[float | None]]) -> Curve:
    """Means of the known values at each x, and a band from the lowest to the highest."""
    known_at = [(a, [v for v in values if v is not None and known(v)]) for a, values in zip(x, columns, strict=True)]
    points = [(a, values) for a, values in known_at if values]
    means = [mean_sd(values)[0] for _, values in points]
    low, high = [min(values) for _, values in points], [max(values) for _, values in points]
    return Curve([a for a, _ in points], means, low, high)


def spreading(x: Sequence[float], columns: Iterable[Sequence[float]], floor: float = -math.inf) -> Curve:
    """Means of the values at each x, and a band of one standard deviation, no lower than ``floor``."""
    pairs = [mean_sd(values) for values in columns]
    sds = [sd if known(sd) else 0.0 for _, sd in pairs]
    low = [max(mean - sd, floor) for (mean, _), sd in zip(pairs, sds, strict=True)]
    return Curve(x, [mean for mean, _ in pairs], low, [mean + sd for (mean, _), sd in zip(pairs, sds, strict=True)])


def draw(
    figure: go.Figure, curve: Curve, legend: Legend, *, row: int = 1, col: int = 1, first: bool = True, at: str = ""
) -> None:
    """Add a curve to a subplot, with its band where that has any width.

    Args:
        figure: to draw on.
        curve: what to draw.
        legend: whose it is.
        row: of the subplot.
        col: of the subplot.
        first: whether the legend names it.
        at: what stands before x where one points at it.
    """
    style, x = legend.style, list(curve.x)
    shared = {"legendgroup": legend.key, "row": row, "col": col}
    if list(curve.low) != list(curve.high):
        figure.add_scatter(
            x=x + x[::-1],
            y=[*curve.high, *curve.low[::-1]],
            fill="toself",
            fillcolor=style.faint(0.13),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            **shared,
        )
    figure.add_scatter(
        x=x,
        y=curve.y,
        mode="lines+markers" if len(x) < _MARKED else "lines",
        name=legend.label,
        line={"color": style.colour, "dash": style.dash, "width": 2},
        marker={"color": style.colour, "symbol": style.symbol, "size": 6},
        showlegend=first,
        hovertemplate=f"{legend.label}<br>{at}%{{x:.4~g}}: %{{y:.4g}}<extra></extra>",
        **shared,
    )
