"""What the figures have in common."""

import math
from collections.abc import Collection
from html import escape

import plotly.graph_objects as go

from codistill.report.comparison import MARK
from codistill.report.numbers import wrapped
from codistill.statistics.interval import Gain
from codistill.study.summary import SummaryRow

_INK, _GRID, AXIS = "#333333", "#e4e4e4", "#999999"
PERCENT = {"clipmin": 0.0, "clipmax": 100.5}  # what an axis of percentages shows at the most


def escaped(text: str) -> str:
    """For a label: plotly reads tags in it."""
    return escape(text, quote=False)


def name_of(row: SummaryRow, width: int = 0) -> str:
    """A method's label for a figure, escaped, and broken into lines where a width is given."""
    label = row.label + (f"\u00a0{MARK}" if row.same_gradient_as else "")
    return "<br>".join(map(escaped, wrapped(label, width) if width else [label]))


def error_bars(gain: Gain | None, colour: str, **style: object) -> dict[str, object] | None:
    """From a mean gain to the ends of its interval, in points; None without an interval."""
    if gain is None or gain.interval is None:
        return None
    above, below = (100 * abs(end - gain.mean) for end in reversed(gain.interval))
    return {"array": [above], "arrayminus": [below], "symmetric": False, "color": colour, **style}


def dress(figure: go.Figure, height: int, legend: int = 0) -> go.Figure:
    """The common style: no frame, a light grid, the legend above the plot where it cannot cover data."""
    figure.update_layout(
        height=height,
        autosize=True,
        margin={"l": 10, "r": 14, "t": 14, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": _INK},
        hoverlabel={"font": {"size": 13}},
        showlegend=legend > 1,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "yref": "paper"},
        template="none",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": AXIS, "activecolor": AXIS},
    )
    axis = {"automargin": True, "showgrid": True, "gridcolor": _GRID, "zeroline": False, "linecolor": AXIS}
    title = {"standoff": 10, "font": {"size": 14}}
    return figure.update_xaxes(axis, title=title).update_yaxes(axis, title=title)


def legend_height(labels: Collection[str]) -> int:
    """Room for a legend, as if the page were narrow."""
    return 22 * math.ceil(len(labels) / 2) + 10
