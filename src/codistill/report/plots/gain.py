"""Gains over the baseline."""

from typing import Any

import plotly.graph_objects as go

from codistill.report.numbers import ends, interval, known, points
from codistill.report.palette import Look, looks
from codistill.report.plots.look import AXIS, dress, name_of


def gain_figure(summary: dict[str, Any]) -> go.Figure | None:
    """Gain over the baseline: a point per seed, the mean and its interval per method, a line at zero."""
    rows = [r for r in summary["rows"] if r["method"] != summary.get("baseline") and known(r.get("gain_mean"))]
    if not rows:
        return None
    look = looks([r["method"] for r in summary["rows"]], summary.get("baseline"))
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": AXIS, "width": 1.5}, layer="below")
    for place, row in enumerate(rows):
        _gain_of(figure, row, place, look[row["method"]], summary.get("seeds") or [])
    names = [name_of(row, 18) for row in rows]
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=names,
        range=[len(rows) - 0.45, -0.55],
        fixedrange=True,
    )
    dress(figure, 90 + max(62, 20 * max(1 + name.count("<br>") for name in names)) * len(rows))
    figure.update_yaxes(showgrid=False)
    return figure.update_xaxes(title_text=f"Gain over {_baseline(summary)}, percentage points")


def _baseline(summary: dict[str, Any]) -> str:
    name = summary.get("baseline")
    return next((name_of(r) for r in summary["rows"] if r["method"] == name), "the baseline")


def _gain_of(figure: go.Figure, row: dict[str, Any], place: int, look: Look, seeds: list[Any]) -> None:
    gains = [g for g in row.get("gain_per_seed") or [] if known(g)]
    names = seeds if len(seeds) == len(row.get("gain_per_seed") or []) else range(len(gains))
    named = [(s, g) for s, g in zip(names, row.get("gain_per_seed") or [], strict=False) if known(g)]
    figure.add_scatter(
        x=[100 * g for _, g in named],
        y=[place + 0.17 + 0.05 * (i % 3) for i in range(len(named))],  # apart, so that equal gains show
        mode="markers",
        marker={"color": look.faint(0.55), "size": 7, "symbol": look.symbol},
        hovertemplate=[f"seed {s}: {points(g)}<extra></extra>" for s, g in named],
    )
    low, high = ends(row.get("gain_ci95"))
    mean, error = 100 * row["gain_mean"], None
    if low is not None and high is not None:
        error = {
            "array": [100 * high - mean],
            "arrayminus": [mean - 100 * low],
            "thickness": 2.5,
            "width": 6,
            "color": look.colour,
            "symmetric": False,
        }
    bounds = f", 95 % interval {interval([low, high])}" if low is not None else ""
    figure.add_scatter(
        x=[mean],
        y=[place - 0.12],
        mode="markers",
        error_x=error,
        marker={"color": look.colour, "size": 11, "symbol": "diamond"},
        hovertemplate=f"{name_of(row)}: mean {points(row['gain_mean'])}{bounds}<extra></extra>",
    )
