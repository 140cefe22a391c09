"""What is measured by the number of networks."""

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from codistill.metrics.interval import mean_sd
from codistill.report.measures import Measure, measure_of
from codistill.report.numbers import count, known, percent
from codistill.report.palette import looks
from codistill.report.plots.look import AXIS, PERCENT, dress
from codistill.report.verdict import is_mutual
from codistill.spec import Spec


def cohort_size_figure(summary: dict[str, Any], results: Sequence[dict[str, Any]] = ()) -> go.Figure | None:
    """What is measured by number of networks, of one network and of their ensemble, where several were run."""
    measure = measure_of(summary)
    family = _largest_family(summary, measure)
    base = next((r for r in summary["rows"] if r["method"] == summary.get("baseline")), None)
    if len(family) < 2:
        return None
    look = looks([r["method"] for r in summary["rows"]], summary.get("baseline"))
    start = [{**base, "peers": 1}] if base and known(measure.mean(base)) else []
    colours = [look[r["method"]].colour for r in start + family]
    aside = 0.006 * family[-1]["peers"]  # so that the bars do not cover one another
    figure = go.Figure()
    single = [(r["peers"], measure.mean(r), measure.sd(r)) for r in start + family]
    one = [(1, measure.mean(r), None) for r in start]  # an ensemble of one network is that network
    together = [(r["peers"], r.get("ensemble_mean"), _ensemble_sd(r["method"], results, measure)) for r in family]
    apart = [(r["peers"], r.get("ensemble_alone_mean"), None) for r in family]
    _sizes(figure, "One network", single, colours, ("solid", "circle", -aside), "sd over networks")
    _sizes(figure, "Ensemble", one + together, colours, ("dash", "diamond", aside), "sd over seeds")
    grey = [look[base["method"]].colour if base else AXIS] * (len(family) + 1)
    _sizes(figure, "Ensemble of as many trained alone", one + apart, grey, ("dot", "square-open", 0.0), "")
    sizes = sorted({int(p) for p, *_ in single})
    dress(figure, 420, 3)
    name = escape(Spec.of(family[0]["method"]).name, quote=False)
    figure.update_xaxes(title_text=f"Networks per cohort (1: alone, then {name})", tickvals=sizes)
    return figure.update_yaxes(title_text=f"Test {measure.name}, %", autorangeoptions=PERCENT)


def _largest_family(summary: dict[str, Any], measure: Measure) -> list[dict[str, Any]]:
    """Rows that differ in their number of networks only, smallest first; of several families the largest."""
    families: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in summary["rows"]:
        if not is_mutual(row, summary.get("baseline")) or not known(measure.mean(row)):
            continue
        spec = Spec.of(row["method"])
        rest = Spec(spec.name, spec.args, {k: v for k, v in spec.options.items() if k != "peers"})
        families[str(rest)].setdefault(row["peers"], row)
    best = max(families.values(), key=len, default={})
    return [best[peers] for peers in sorted(best)]


def _ensemble_sd(method: str, results: Sequence[dict[str, Any]], measure: Measure) -> float | None:
    values = [
        r[measure.key]
        for r in results
        if r.get("method") == method
        and r.get("peer") is None
        and r.get("part", "test") == "test"
        and known(r.get(measure.key))
    ]
    return mean_sd(values)[1] if len(values) > 1 else None


def _sizes(
    figure: go.Figure,
    name: str,
    spots: Sequence[tuple[int, float | None, float | None]],
    colours: Sequence[str],
    style: tuple[str, str, float],
    spread: str,
) -> None:
    kept = [(p, a, s, c) for (p, a, s), c in zip(spots, colours, strict=False) if known(a) and a is not None]
    if len(kept) < 2:
        return
    dash, symbol, aside = style
    told = [f", {spread} {percent(s)}" if known(s) else "" for _, _, s, _ in kept]
    figure.add_scatter(
        x=[p + aside * (p > 1) for p, *_ in kept],
        y=[100 * a for _, a, _, _ in kept],
        name=name,
        mode="lines+markers",
        line={"color": AXIS, "dash": dash, "width": 1.5},
        marker={"color": [c for *_, c in kept], "size": 10, "symbol": symbol},
        error_y={
            "array": [100 * s if s is not None and known(s) else None for _, _, s, _ in kept],
            "thickness": 1.2,
            "width": 5,
            "color": AXIS,
            "visible": any(told),
        },
        hovertemplate=[
            f"{name}, {count(p, 'network')}: {percent(a)} %{more}<extra></extra>"
            for (p, a, _, _), more in zip(kept, told, strict=True)
        ],
    )
