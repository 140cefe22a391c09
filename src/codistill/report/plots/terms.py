"""Terms of the loss over the epochs."""

import math
from collections import defaultdict
from collections.abc import Iterable
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.analysis.curves import EpochLine
from codistill.analysis.peers import ratios
from codistill.metrics.interval import mean_sd
from codistill.report.numbers import known
from codistill.report.palette import Look, looks
from codistill.report.plots.look import dress, epoch_ticks, legend_height, name_of

_TERMS = {"task": "Task loss, nats", "mimic": "Imitation loss"}  # not of every method in nats
_MOST_TERMS = 6

Curve = dict[int, list[float]]


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
    figure.update_xaxes(**epoch_ticks([epoch for curves in found.values() for c in curves.values() for epoch in c]))
    return figure.update_xaxes(title_text="Epoch", row=len(terms), col=1)


def ratio_figure(log: Iterable[dict[str, Any]], summary: dict[str, Any] | None = None) -> go.Figure | None:
    """All imitation terms together beside the task term, in percent by epoch, one line per method."""
    found: dict[str, Curve] = defaultdict(lambda: defaultdict(list))
    for record in log:
        if record.get("kind") == "epoch":
            name = str(record.get("method") or record.get("run"))
            found[name][int(record["epoch"])] += [100 * v for v in ratios(EpochLine.from_json(record)) if known(v)]
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
    names = [name_of(rows.get(method, {"method": method})) for method in found]
    dress(figure, 300 + legend_height(names), len(found))
    figure.update_yaxes(title_text="Imitation / task, %", type="log")
    return figure.update_xaxes(
        title_text="Epoch", **epoch_ticks([epoch for curve in found.values() for epoch in curve])
    )


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
        name=name_of(row),
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={"color": look.colour, "symbol": look.symbol},
        showlegend=first,
        hovertemplate=f"{name_of(row)}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
        **shared,
    )
