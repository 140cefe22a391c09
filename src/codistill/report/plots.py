"""Figures of a study, built from its data. Each is None where the data for it is lacking."""

import math
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.analysis.peers import ratios
from codistill.metrics.interval import mean_sd
from codistill.names import Spec
from codistill.report.measures import Measure, measure_of
from codistill.report.numbers import count, ends, interval, known, percent, points, times
from codistill.report.palette import Look, looks
from codistill.report.rows import MARK
from codistill.report.verdict import is_mutual, label_of

_INK, _GRID, _AXIS = "#333333", "#e4e4e4", "#999999"
_TERMS = {"task": "Task loss, nats", "mimic": "Mimicry loss, nats"}
_MOST_TERMS = 6


def _name(row: dict[str, Any], width: int = 0) -> str:
    """A method's label for a plot, escaped, and broken into lines where a width is given."""
    label = label_of(row) + (f"\u00a0{MARK}" if row.get("same_gradient_as") else "")
    parts = textwrap.wrap(label, width) if width else [label]
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
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": _AXIS, "activecolor": _AXIS},
    )
    axis = {
        "automargin": True,
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": _AXIS,
        "title": {"standoff": 10, "font": {"size": 14}},
    }
    figure.update_xaxes(**axis, showgrid=True)
    figure.update_yaxes(**axis, showgrid=True)
    return figure


def legend_height(labels: Sequence[str]) -> int:
    """Room for a legend, as if the page were narrow."""
    return 22 * math.ceil(len(labels) / 2) + 10


def gain_figure(summary: dict[str, Any]) -> go.Figure | None:
    """Gain over the baseline: a point per seed, the mean and its interval per method, a line at zero."""
    rows = [r for r in summary["rows"] if r["method"] != summary.get("baseline") and known(r.get("gain_mean"))]
    if not rows:
        return None
    look = looks([r["method"] for r in summary["rows"]], summary.get("baseline"))
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": _AXIS, "width": 1.5}, layer="below")
    for place, row in enumerate(rows):
        _gain_of(figure, row, place, look[row["method"]], summary.get("seeds") or [])
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[_name(row, 18) for row in rows],
        range=[len(rows) - 0.45, -0.55],
        fixedrange=True,
    )
    dress(figure, 90 + 62 * len(rows))
    figure.update_yaxes(showgrid=False)
    return figure.update_xaxes(title_text=f"Gain over {_baseline(summary)}, percentage points")


def _baseline(summary: dict[str, Any]) -> str:
    name = summary.get("baseline")
    return next((_name(r) for r in summary["rows"] if r["method"] == name), "the baseline")


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
        hovertemplate=f"{_name(row)}: mean {points(row['gain_mean'])}{bounds}<extra></extra>",
    )


def learning_figure(log: Iterable[dict[str, Any]], summary: dict[str, Any] | None = None) -> go.Figure | None:
    """Each term by epoch, one line per method: mean over networks and seeds, with a band of one sd."""
    found = _by_epoch(log)
    if not found:
        return None
    rows = {r["method"]: r for r in (summary or {}).get("rows", [])}
    order = [m for m in rows if any(m in by for by in found.values())]
    order += [m for m in dict.fromkeys(m for by in found.values() for m in by) if m not in rows]
    look = looks([*rows, *order], (summary or {}).get("baseline"))
    terms = sorted(found, key=lambda term: list(_TERMS).index(term) if term in _TERMS else len(_TERMS))
    terms = terms[:_MOST_TERMS]
    figure = make_subplots(rows=len(terms), cols=1, shared_xaxes=True, vertical_spacing=0.14 / len(terms))
    seen: set[str] = set()
    for place, term in enumerate(terms, start=1):
        for method in order:
            if method in found[term]:
                row = rows.get(method, {"method": method})
                _curve(figure, found[term][method], row, look[method], place, method not in seen)
                seen.add(method)
        title = _TERMS.get(term, f"{escape(term, quote=False)} loss")
        figure.update_yaxes(title_text=title, rangemode="tozero", row=place, col=1)
    dress(figure, 60 + 240 * len(terms) + legend_height(order), len(order))
    return figure.update_xaxes(title_text="Epoch", row=len(terms), col=1)


def ratio_figure(log: Iterable[dict[str, Any]], summary: dict[str, Any] | None = None) -> go.Figure | None:
    """All imitation terms together beside the task term, in percent by epoch, one line per method."""
    found: dict[str, Curve] = defaultdict(lambda: defaultdict(list))
    for record in log:
        if record.get("kind") == "epoch":
            name = str(record.get("method") or record.get("run"))
            found[name][int(record["epoch"])] += [100 * v for v in ratios(record) if known(v)]
    found = {method: curve for method, curve in found.items() if any(curve.values())}
    if not found:
        return None
    rows = {r["method"]: r for r in (summary or {}).get("rows", [])}
    look = looks([*rows, *found], (summary or {}).get("baseline"))
    figure = make_subplots(rows=1, cols=1)
    for method, curve in found.items():
        kept = {epoch: values for epoch, values in curve.items() if values}
        least = min((v for values in kept.values() for v in values if v > 0), default=1.0)
        _curve(figure, kept, rows.get(method, {"method": method}), look[method], 1, True, floor=least)
    names = [_name(rows.get(method, {"method": method})) for method in found]
    dress(figure, 300 + legend_height(names), len(found))
    figure.update_yaxes(title_text="Imitation / task, %", type="log")
    return figure.update_xaxes(title_text="Epoch")


Curve = dict[int, list[float]]


def _by_epoch(log: Iterable[dict[str, Any]]) -> dict[str, dict[str, Curve]]:
    """term -> method -> epoch -> values over networks and seeds; what is no number is left out."""
    found: dict[str, dict[str, Curve]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for record in log:
        if record.get("kind") != "epoch":
            continue
        for term, values in (record.get("terms") or {}).items():
            values = values if isinstance(values, list) else [values]
            good = [float(v) for v in values if known(v)]
            if good:
                found[term][str(record.get("method") or record.get("run"))][int(record["epoch"])] += good
    return found


def _curve(
    figure: go.Figure,
    curve: Curve,
    row: dict[str, Any],
    look: Look,
    place: int,
    first: bool,
    floor: float = -math.inf,
) -> None:
    epochs = sorted(curve)
    spread = [mean_sd(curve[e]) for e in epochs]
    means, sds = [m for m, _ in spread], [s if known(s) else 0.0 for _, s in spread]
    shared = {"legendgroup": row["method"], "row": place, "col": 1}
    if any(sds):
        figure.add_scatter(
            x=epochs + epochs[::-1],
            y=[m + s for m, s in zip(means, sds, strict=True)]
            + [max(m - s, floor) for m, s in zip(means[::-1], sds[::-1], strict=True)],
            fill="toself",
            fillcolor=look.faint(0.13),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            **shared,
        )
    figure.add_scatter(
        x=epochs,
        y=means,
        mode="lines" if len(epochs) > 1 else "markers",
        name=_name(row),
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={"color": look.colour, "symbol": look.symbol},
        showlegend=first,
        hovertemplate=f"{_name(row)}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
        **shared,
    )


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
    grey = [look[base["method"]].colour if base else _AXIS] * (len(family) + 1)
    _sizes(figure, "Ensemble of as many trained alone", one + apart, grey, ("dot", "square-open", 0.0), "")
    sizes = sorted({int(p) for p, *_ in single})
    dress(figure, 420, 3)
    name = escape(Spec.parse(family[0]["method"]).name, quote=False)
    figure.update_xaxes(title_text=f"Networks per cohort (1: alone, then {name})", tickvals=sizes)
    return figure.update_yaxes(title_text=f"Test {measure.name}, %")


def _largest_family(summary: dict[str, Any], measure: Measure) -> list[dict[str, Any]]:
    """Rows that differ in their number of networks only, smallest first; of several families the largest."""
    families: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in summary["rows"]:
        if not is_mutual(row, summary.get("baseline")) or not known(measure.mean(row)):
            continue
        spec = Spec.parse(row["method"])
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
        line={"color": _AXIS, "dash": dash, "width": 1.5},
        marker={"color": [c for *_, c in kept], "size": 10, "symbol": symbol},
        error_y={
            "array": [100 * s if s is not None and known(s) else None for _, _, s, _ in kept],
            "thickness": 1.2,
            "width": 5,
            "color": _AXIS,
            "visible": any(told),
        },
        hovertemplate=[
            f"{name}, {count(p, 'network')}: {percent(a)} %{more}<extra></extra>"
            for (p, a, _, _), more in zip(kept, told, strict=True)
        ],
    )


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
    names = [_name(r) for r in rows]
    dress(figure, 400 + legend_height(names), len(names))
    figure.update_xaxes(title_text=f"{words}, multiples of one network")
    return figure.update_yaxes(title_text=f"Test {measure.name}, %")


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
        name=_name(row),
        mode="lines+markers",
        line={"color": look.faint(0.5), "dash": "dot", "width": 1},
        marker={"color": look.colour, "symbol": [s for *_, s, _ in spots], "size": 11},
        error_y=error,
        hovertemplate=[
            f"{_name(row)}, {what}: {percent(a)} % at {times(x, 2)} times the cost<extra></extra>"
            for x, a, _, what in spots
        ],
    )
