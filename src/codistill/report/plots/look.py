"""What the figures have in common."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from codistill.report.rows import MARK
from codistill.report.verdict import label_of
from codistill.report.wrap import wrapped

_INK, _GRID, AXIS = "#333333", "#e4e4e4", "#999999"
PERCENT = {"clipmin": 0.0, "clipmax": 100.5}  # what an axis of percentages shows at the most


def name_of(row: dict[str, Any], width: int = 0) -> str:
    """A method's label for a plot, escaped, and broken into lines where a width is given."""
    label = label_of(row) + (f"\u00a0{MARK}" if row.get("same_gradient_as") else "")
    parts = wrapped(label, width) if width else [label]
    return "<br>".join(escape(part, quote=False) for part in parts)


def dress(figure: go.Figure, height: int, legend: int = 0) -> go.Figure:
    """The common look: no frame, a light grid, the legend above the plot where it cannot cover data."""
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
    axis = {
        "automargin": True,
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": AXIS,
        "title": {"standoff": 10, "font": {"size": 14}},
    }
    figure.update_xaxes(**axis, showgrid=True)
    figure.update_yaxes(**axis, showgrid=True)
    return figure


def legend_height(labels: Sequence[str]) -> int:
    """Room for a legend, as if the page were narrow."""
    return 22 * math.ceil(len(labels) / 2) + 10


def epoch_ticks(epochs: Sequence[int]) -> dict[str, int]:
    """Whole numbers, about ten of them."""
    return {"tick0": 0, "dtick": max(1, math.ceil(max(epochs, default=1) / 10))}
