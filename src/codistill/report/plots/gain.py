"""Gains over the baseline."""

import plotly.graph_objects as go

from codistill.metrics.interval import Gain
from codistill.report.comparison import baseline_label
from codistill.report.numbers import interval, points
from codistill.report.palette import Style, styles
from codistill.report.plots.layout import AXIS, dress, error_bars, escaped, name_of
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
        figure.add_traces(_marks(gain, number, style[row.method], name_of(row), summary.seeds))
    names = [name_of(row, 18) for row, _ in gains]
    dress(figure, 90 + max(62, 20 * max(1 + name.count("<br>") for name in names)) * len(gains))
    figure.update_yaxes(tickvals=list(range(len(gains))), ticktext=names, range=[len(gains) - 0.45, -0.55])
    figure.update_yaxes(fixedrange=True, showgrid=False)
    return figure.update_xaxes(title_text=f"Gain over {escaped(baseline_label(summary))}, percentage points")


def _marks(gain: Gain, number: int, style: Style, name: str, seeds: tuple[int, ...]) -> list[go.Scatter]:
    """A small mark for each seed, apart so that equal gains show, and above them the mean with its interval."""
    per_seed, bounds = gain.per_seed, f", 95 % interval {interval(gain.interval)}" if gain.interval else ""
    each = go.Scatter(
        x=[100 * g for g in per_seed],
        y=[number + 0.17 + 0.05 * (i % 3) for i in range(len(per_seed))],
        mode="markers",
        marker={"color": style.faint(0.55), "size": 7, "symbol": style.symbol},
        hovertemplate=[f"seed {seed}: {points(g)}<extra></extra>" for seed, g in zip(seeds, per_seed, strict=True)],
    )
    mean = go.Scatter(
        x=[100 * gain.mean],
        y=[number - 0.12],
        mode="markers",
        error_x=error_bars(gain, style.colour, thickness=2.5, width=6),
        marker={"color": style.colour, "size": 11, "symbol": "diamond"},
        hovertemplate=f"{name}: mean {points(gain.mean)}{bounds}<extra></extra>",
    )
    return [each, mean]
