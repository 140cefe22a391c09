"""What is measured against what it costs."""

import plotly.graph_objects as go

from codistill.report.measures import measure_of
from codistill.report.numbers import percent, times
from codistill.report.palette import Style, styles
from codistill.report.plots.layout import PERCENT, dress, error_bars, legend_height, name_of
from codistill.study.summary import Summary, SummaryRow


def cost_figure(summary: Summary) -> go.Figure | None:
    """What is measured against training cost: one network at its share of the cost, the ensemble at the cohort's."""
    if len(summary.rows) < 2:
        return None
    timed = all(row.cost.seconds is not None for row in summary.rows)
    style = styles([row.method for row in summary.rows], summary.baseline)
    figure = go.Figure([_method(row, timed, style[row.method]) for row in summary.rows])
    dress(figure, 400 + legend_height([row.label for row in summary.rows]), len(summary.rows))
    words = "Training time" if timed else "Forward passes"
    figure.update_xaxes(title_text=f"{words}, multiples of one network")
    return figure.update_yaxes(title_text=f"Test {measure_of(summary).name}, %", autorangeoptions=PERCENT)


def _method(row: SummaryRow, timed: bool, style: Style) -> go.Scatter:
    cost = row.cost
    each, cohort = (cost.seconds_per_network, cost.seconds) if timed else (cost.forward_per_network, cost.forward)
    spots = [(each, row.mean, style.symbol, "one network")]
    if row.ensemble and row.peers > 1:
        spots.append((cohort, row.ensemble.mean, "diamond-open", f"ensemble of {row.peers}"))
    return go.Scatter(
        x=[x for x, *_ in spots],
        y=[100 * a for _, a, *_ in spots],
        name=name_of(row),
        mode="lines+markers",
        line={"color": style.faint(0.5), "dash": "dot", "width": 1},
        marker={"color": style.colour, "symbol": [symbol for *_, symbol, _ in spots], "size": 11},
        # no caps: one would show inside the ensemble's mark, which has no interval
        error_y=error_bars(row.gain, style.colour, thickness=2, width=0),
        hovertemplate=[
            f"{name_of(row)}, {what}: {percent(a)} % at {times(x, 2)} times the cost<extra></extra>"
            for x, a, _, what in spots
        ],
    )
