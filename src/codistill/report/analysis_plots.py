"""Figures of an analysis. Each is None where the data for it is lacking."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.metrics.interval import mean_sd
from codistill.report.numbers import known
from codistill.report.palette import Look, looks
from codistill.report.plots import dress, legend_height

Analysis = dict[str, Any]
_FLOOR = 1e-6  # below this a loss on a logarithmic axis is drawn there
_MOST_PLANES = 6


def _looks(analysis: Analysis) -> dict[str, Look]:
    base = analysis.get("baseline")
    return looks([row["method"] for row in analysis["rows"]], base)


def _labels(analysis: Analysis) -> dict[str, str]:
    return {row["method"]: row["label"].partition(", its ")[0] for row in reversed(analysis["rows"])}


def _band(
    figure: go.Figure,
    x: Sequence[float],
    each: Sequence[Sequence[float]],
    who: tuple[str, str, Look],
    place: tuple[int, int],
    first: bool,
) -> None:
    """The mean of several courses, and a band from the lowest to the highest."""
    method, label, look = who
    columns = [[v for v in values if known(v)] for values in zip(*each, strict=True)]
    kept = [(a, values) for a, values in zip(x, columns, strict=True) if values]
    at = [a for a, _ in kept]
    shared = {"legendgroup": method, "row": place[0], "col": place[1]}
    if len(each) > 1:
        figure.add_scatter(
            x=at + at[::-1],
            y=[max(v) for _, v in kept] + [min(v) for _, v in kept][::-1],
            fill="toself",
            fillcolor=look.faint(0.12),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            **shared,
        )
    name = escape(label, quote=False)
    figure.add_scatter(
        x=at,
        y=[mean_sd(v)[0] for _, v in kept],
        mode="lines+markers" if len(at) < 12 else "lines",
        name=name,
        line={"color": look.colour, "dash": look.dash, "width": 2},
        marker={"color": look.colour, "symbol": look.symbol, "size": 6},
        showlegend=first,
        hovertemplate=f"{name}<br>%{{x:.3g}}: %{{y:.4g}}<extra></extra>",
        **shared,
    )


def _compared(
    analysis: Analysis, panels: Sequence[tuple[str, str, Callable[[Any], Any]]], log: bool, height: int
) -> go.Figure | None:
    """Panels side by side, a course per method: (x title, y title, network -> (x, y) or None)."""
    look, labels = _looks(analysis), _labels(analysis)
    figure = make_subplots(rows=1, cols=len(panels), horizontal_spacing=0.09)
    shown: set[str] = set()
    for place, (x_title, y_title, of) in enumerate(panels, start=1):
        for method in look:
            pairs = [p for n in analysis["networks"] if n["method"] == method and (p := of(n)) is not None]
            if pairs:
                who = (method, labels[method], look[method])
                _band(figure, pairs[0][0], [y for _, y in pairs], who, (1, place), method not in shown)
                shown.add(method)
        figure.update_xaxes(title_text=x_title, row=1, col=place)
        figure.update_yaxes(title_text=y_title, type="log" if log else "linear", row=1, col=place)
    if not shown:
        return None
    return dress(figure, height + legend_height([labels[m] for m in shown]), len(shown))


def noise_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss by size of the noise, absolute and relative."""

    def of(name: str) -> Callable[[Any], Any]:
        return lambda n: (d["sizes"], [_positive(v) for v in d["loss"]]) if (d := n.get(f"{name}_detail")) else None

    titles = {"noise": "σ, absolute", "noise_relative": "σ, relative to each filter"}
    figure = _compared(
        analysis, [(titles[name], "Training loss, nats", of(name)) for name in titles], log=True, height=340
    )  # fmt: skip
    return None if figure is None else figure.update_xaxes(type="log")


def _positive(v: float | None) -> float | None:
    return max(v, _FLOOR) if v is not None and known(v) else None


def posterior_figure(analysis: Analysis) -> go.Figure | None:
    """Mean posterior by rank, on training and on test examples."""

    def of(part: str) -> Callable[[Any], Any]:
        return lambda n: (range(1, len(t) + 1), t) if (t := n.get(f"{part}_top")) else None

    panels = [(f"Rank, {part}", "Mean probability", of(part)) for part in ("train", "test")]
    figure = _compared(analysis, panels, log=True, height=320)
    return None if figure is None else figure.update_xaxes(dtick=1)


def line_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss along a random direction, and on the way from one peer to another."""

    def of(n: Any) -> Any:
        at = [i / 10 for i in range(-10, 11)]
        return (at, [_positive(v) for v in n["line"]]) if n.get("line") else None

    figure = _compared(
        analysis, [("Distance, in lengths of the filters", "Training loss, nats", of)], log=True, height=340
    )  # fmt: skip
    return figure


def path_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss on the straight way between two peers."""
    ways = [{**way, "seed": way["seed"]} for way in analysis["paths"]]
    if not ways:
        return None

    def of(way: Any) -> Any:
        return way["at"], way["loss"]

    title = "Part of the way from one peer's weights to the other's"
    return _compared({**analysis, "networks": ways}, [(title, "Training loss, nats", of)], log=False, height=340)


def plane_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss on a plane through one network of each method, all in the same colours."""
    labels = _labels(analysis)
    planes = [p for p in analysis["planes"] if any(known(v) for row in p["loss"] for v in row)][:_MOST_PLANES]
    if not planes:
        return None
    columns = min(3, len(planes))
    rows = math.ceil(len(planes) / columns)
    figure = make_subplots(rows=rows, cols=columns, horizontal_spacing=0.06, vertical_spacing=0.24 / rows)
    for number, plane in enumerate(planes):
        z = [[math.log10(v) if (v := _positive(loss)) else None for loss in row] for row in plane["loss"]]
        row, col = number // columns + 1, number % columns + 1
        figure.add_contour(
            x=plane["at"],
            y=plane["at"],
            z=z,
            coloraxis="coloraxis",
            contours={"start": -3, "end": 2, "size": 0.5},
            line={"width": 0.5},
            hovertemplate="%{x}, %{y}: 10^%{z:.2f} nats<extra></extra>",
            row=row,
            col=col,
        )
        title = escape(f"{labels.get(plane['method'], plane['method'])}, seed {plane['seed']}", quote=False)
        figure.update_xaxes(title_text=title, row=row, col=col)
    dress(figure, 60 + 290 * rows)
    ticks = list(range(-3, 3))
    bar = {"title": "nats", "tickvals": ticks, "ticktext": [f"{10.0**t:g}" for t in ticks], "thickness": 12}
    return figure.update_layout(
        coloraxis={"cmin": -3, "cmax": 2, "colorscale": "Viridis", "colorbar": bar}, margin={"r": 60}
    )


def peers_figure(analysis: Analysis) -> go.Figure | None:
    """Divergence and agreement of peers by epoch."""
    look, labels = _looks(analysis), _labels(analysis)
    panels = {"divergence": "Divergence, nats", "agreement": "Agreement"}
    entries = [e for e in analysis["peers"] if e["divergence"] is not None]
    if not entries:
        return None
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.09)
    for place, (name, title) in enumerate(panels.items(), start=1):
        for method in look:
            own = [e for e in entries if e["method"] == method and e[name] is not None]
            if own:
                sd = [e[f"{name}_sd"] or 0.0 for e in own]
                each = [[e[name] + side * s for e, s in zip(own, sd, strict=True)] for side in (-1, 0, 1)]
                who = (method, labels[method], look[method])
                _band(figure, [e["epoch"] for e in own], each, who, (1, place), place == 1)
        figure.update_yaxes(title_text=title, row=1, col=place)
        figure.update_xaxes(title_text="Epoch", row=1, col=place)
    used = {e["method"] for e in entries}
    return dress(figure, 340 + legend_height([labels[m] for m in look if m in used]), len(used))


__all__ = ["line_figure", "noise_figure", "path_figure", "peers_figure", "plane_figure", "posterior_figure"]
