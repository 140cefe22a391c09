"""Gains over the baseline."""

import plotly.graph_objects as go

from codistill.report.comparison import baseline_label
from codistill.report.numbers import interval, points
from codistill.report.palette import Style, styles
from codistill.report.plots.layout import AXIS, dress, error_bars, escaped, name_of
from codistill.statistics.interval import Gain
from codistill.study.summary import Summary


def gain_figure(summary: Summary) -> go.Figure | None:
    """Gain over the baseline: a point per seed, the mean and its interval per method, a line at zero."""
    gains = [(row, row.gain) for row in summary.rows if row.gain]
    if not gains:
        return None
    style = styles([row.method for row in summary.rows], summary.baseline)
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": AXIS, "width": 1.5}, layer="below")
    for number, (row, gain) in enumerate(gains):
        _seeds(figure, gain, number, style[row.method], summary.seeds)
        _mean(figure, gain, number, style[row.method], name_of(row))
    names = [name_of(row, 18) for row, _ in gains]
    figure.update_yaxes(
        tickvals=list(range(len(gains))), ticktext=names, range=[len(gains) - 0.45, -0.55], fixedrange=True
    )
    dress(figure, 90 + max(62, 20 * max(1 + name.count("<br>") for name in names)) * len(gains))
    figure.update_yaxes(showgrid=False)
    return figure.update_xaxes(title_text=f"Gain over {escaped(baseline_label(summary))}, percentage points")


def _seeds(figure: go.Figure, gain: Gain, number: int, style: Style, seeds: tuple[int, ...]) -> None:
    figure.add_scatter(
        x=[100 * g for g in gain.per_seed],
        y=[number + 0.17 + 0.05 * (i % 3) for i in range(len(gain.per_seed))],  # apart, so that equal gains show
        mode="markers",
        marker={"color": style.faint(0.55), "size": 7, "symbol": style.symbol},
        hovertemplate=[
            f"seed {seed}: {points(g)}<extra></extra>" for seed, g in zip(seeds, gain.per_seed, strict=True)
        ],
    )


def _mean(figure: go.Figure, gain: Gain, number: int, style: Style, name: str) -> None:
    error, bounds = None, ""
    if gain.interval is not None:
        low, high = gain.interval
        error = error_bars(100 * gain.mean, (100 * low, 100 * high), style.colour, thickness=2.5, width=6)
        bounds = f", 95 % interval {interval(gain.interval)}"
    figure.add_scatter(
        x=[100 * gain.mean],
        y=[number - 0.12],
        mode="markers",
        error_x=error,
        marker={"color": style.colour, "size": 11, "symbol": "diamond"},
        hovertemplate=f"{name}: mean {points(gain.mean)}{bounds}<extra></extra>",
    )
