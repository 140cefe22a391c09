"""What is measured against what it costs."""

from typing import Any

import plotly.graph_objects as go

from codistill.report.measures import Measure, measure_of
from codistill.report.numbers import ends, known, percent, times
from codistill.report.palette import Look, looks
from codistill.report.plots.look import PERCENT, dress, legend_height, name_of


def cost_figure(summary: dict[str, Any]) -> go.Figure | None:
    """What is measured against training cost: one network at its share of the cost, the ensemble at the cohort's."""
    measure = measure_of(summary)
    kind = next((k for k in ("seconds", "forward") if _with_cost(summary, k)), None)
    if kind is None:
        return None
    rows = _with_cost(summary, kind)
    look = looks([r["method"] for r in summary["rows"]], summary.get("baseline"))
    figure = go.Figure()
    for row in rows:
        _cost_of(figure, row, kind, look[row["method"]], measure)
    words = {"seconds": "Training time", "forward": "Forward passes"}[kind]
    names = [name_of(r) for r in rows]
    dress(figure, 400 + legend_height(names), len(names))
    figure.update_xaxes(title_text=f"{words}, multiples of one network")
    return figure.update_yaxes(title_text=f"Test {measure.name}, %", autorangeoptions=PERCENT)


def _with_cost(summary: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The rows to plot, none where fewer than two have a cost."""
    key, measure = f"{kind}_per_network", measure_of(summary)
    rows = [r for r in summary["rows"] if known((r.get("cost") or {}).get(key)) and known(measure.mean(r))]
    return rows if len(rows) > 1 else []


def _cost_of(figure: go.Figure, row: dict[str, Any], kind: str, look: Look, measure: Measure) -> None:
    cost = row["cost"]
    spots = [(cost[f"{kind}_per_network"], measure.mean(row) or 0.0, look.symbol, "one network")]
    if known(row.get("ensemble_mean")) and known(cost.get(kind)) and (row.get("peers") or 1) > 1:
        spots.append((cost[kind], row["ensemble_mean"], "diamond-open", f"ensemble of {row['peers']}"))
    low, high = ends(row.get("gain_ci95"))
    error = None
    if low is not None and high is not None and known(row.get("gain_mean")):
        rest = [None] * (len(spots) - 1)
        error = {
            "array": [100 * (high - row["gain_mean"]), *rest],
            "arrayminus": [100 * (row["gain_mean"] - low), *rest],
            "symmetric": False,
            "thickness": 2,
            "width": 0,  # no caps: one would show inside the ensemble's mark, which has no interval
            "color": look.colour,
        }
    figure.add_scatter(
        x=[x for x, *_ in spots],
        y=[100 * a for _, a, *_ in spots],
        name=name_of(row),
        mode="lines+markers",
        line={"color": look.faint(0.5), "dash": "dot", "width": 1},
        marker={"color": look.colour, "symbol": [s for *_, s, _ in spots], "size": 11},
        error_y=error,
        hovertemplate=[
            f"{name_of(row)}, {what}: {percent(a)} % at {times(x, 2)} times the cost<extra></extra>"
            for x, a, _, what in spots
        ],
    )
