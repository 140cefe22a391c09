"""Figures of an analysis. Each is None where the data for it is lacking."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.analysis import Analysis
from codistill.analysis.measures import NetworkMeasures, Path, Plane
from codistill.analysis.peers import PeerEpoch
from codistill.analysis.surface import LINE
from codistill.report.numbers import known
from codistill.report.palette import styles
from codistill.report.plots.curves import Curve, Legend, draw, ranging
from codistill.report.plots.layout import dress, escaped, legend_height

_FLOOR = 1e-6  # below this a loss on a logarithmic axis is drawn there
_MOST_PLANES = 6

Course = tuple[Sequence[float], Sequence[float | None]]  # x, y
Subject = TypeVar("Subject", NetworkMeasures, Path)


@dataclass(frozen=True)
class Panel:
    """One of several figures side by side: a curve per method."""

    x_title: str
    y_title: str
    curves: Mapping[str, Curve]


def noise_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss by size of the noise, absolute and relative."""

    details = {"σ, absolute": "noise_detail", "σ, relative to each filter": "noise_relative_detail"}

    def losses(network: NetworkMeasures, name: str) -> Course | None:
        noise = getattr(network, name)
        return None if noise is None else (noise.sizes, [_positive(v) for v in noise.loss])

    panels = [
        Panel(title, "Training loss, nats", _curves(analysis.networks, partial(losses, name=name)))
        for title, name in details.items()
    ]
    figure = _side_by_side(analysis, panels, log=True, height=340)
    return None if figure is None else figure.update_xaxes(type="log")


def posterior_figure(analysis: Analysis) -> go.Figure | None:
    """Mean posterior by rank, on training and on test examples."""

    def ranks(top: Sequence[float]) -> Course | None:
        return (range(1, len(top) + 1), top) if top else None

    panels = [
        Panel("Rank, train", "Mean probability", _curves(analysis.networks, lambda n: ranks(n.train_top))),
        Panel("Rank, test", "Mean probability", _curves(analysis.networks, lambda n: ranks(n.test_top))),
    ]
    figure = _side_by_side(analysis, panels, log=True, height=320)
    return None if figure is None else figure.update_xaxes(dtick=1)


def line_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss along a random direction."""

    def line(network: NetworkMeasures) -> Course | None:
        return (LINE, [_positive(v) for v in network.line]) if network.line else None

    curves = _curves(analysis.networks, line)
    panel = Panel("Distance, in lengths of the filters", "Training loss, nats", curves)
    return _side_by_side(analysis, [panel], log=True, height=340)


def path_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss on the straight way between two peers."""
    title = "Part of the way from one peer's weights to the other's"
    curves = _curves(analysis.paths, lambda path: (path.at, path.loss))
    return _side_by_side(analysis, [Panel(title, "Training loss, nats", curves)], log=False, height=340)


def peers_figure(analysis: Analysis) -> go.Figure | None:
    """Divergence and agreement of peers by epoch."""

    def curve(epochs: Iterable[PeerEpoch], name: str) -> Curve:
        values = [(e.epoch, getattr(e, name), getattr(e, f"{name}_sd") or 0.0) for e in epochs]
        values = [(epoch, mean, sd) for epoch, mean, sd in values if mean is not None]
        means = [mean for _, mean, _ in values]
        low, high = [mean - sd for _, mean, sd in values], [mean + sd for _, mean, sd in values]
        return Curve([epoch for epoch, _, _ in values], means, low, high)

    by_method: dict[str, list[PeerEpoch]] = defaultdict(list)
    for epoch in analysis.peers:
        if epoch.divergence is not None:
            by_method[epoch.method].append(epoch)
    titles = {"divergence": "Divergence, nats", "agreement": "Agreement"}
    panels = [
        Panel("Epoch", title, {m: drawn for m, epochs in by_method.items() if (drawn := curve(epochs, name)).x})
        for name, title in titles.items()
    ]
    return _side_by_side(analysis, panels, log=False, height=340)


def plane_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss on a plane through one network of each method, all in the same colours."""
    labels = _labels(analysis)
    planes = [p for p in analysis.planes if any(known(v) for row in p.loss for v in row)][:_MOST_PLANES]
    if not planes:
        return None
    columns = min(3, len(planes))
    rows = math.ceil(len(planes) / columns)
    figure = make_subplots(rows=rows, cols=columns, horizontal_spacing=0.06, vertical_spacing=0.24 / rows)
    for number, plane in enumerate(planes):
        row, col = number // columns + 1, number % columns + 1
        _contour(figure, plane, row, col)
        title = escaped(f"{labels.get(plane.method, plane.method)}, seed {plane.seed}")
        figure.update_xaxes(title_text=title, row=row, col=col)
    dress(figure, 60 + 290 * rows)
    ticks = list(range(-3, 3))
    bar = {"title": "nats", "tickvals": ticks, "ticktext": [f"{10.0**t:g}" for t in ticks], "thickness": 12}
    return figure.update_layout(
        coloraxis={"cmin": -3, "cmax": 2, "colorscale": "Viridis", "colorbar": bar}, margin={"r": 60}
    )


def _contour(figure: go.Figure, plane: Plane, row: int, col: int) -> None:
    """The logarithm of the losses on a plane."""
    figure.add_contour(
        x=plane.at,
        y=plane.at,
        z=[[math.log10(v) if (v := _positive(loss)) else None for loss in losses] for losses in plane.loss],
        coloraxis="coloraxis",
        contours={"start": -3, "end": 2, "size": 0.5},
        line={"width": 0.5},
        hovertemplate="%{x}, %{y}: 10^%{z:.2f} nats<extra></extra>",
        row=row,
        col=col,
    )


def _positive(v: float | None) -> float | None:
    return max(v, _FLOOR) if v is not None and known(v) else None


def _labels(analysis: Analysis) -> dict[str, str]:
    return {row.method: row.label.partition(", its ")[0] for row in reversed(analysis.rows)}


def _curves(subjects: Iterable[Subject], of: Callable[[Subject], Course | None]) -> dict[str, Curve]:
    """The curve of each method: the mean over its networks, and a band from the lowest to the highest."""
    courses: dict[str, list[Course]] = defaultdict(list)
    for subject in subjects:
        if (course := of(subject)) is not None:
            courses[subject.method].append(course)
    return {method: ranging(each[0][0], zip(*(y for _, y in each), strict=True)) for method, each in courses.items()}


def _side_by_side(analysis: Analysis, panels: Sequence[Panel], log: bool, height: int) -> go.Figure | None:
    """The panels with one legend; None where none has a curve."""
    labels = _labels(analysis)
    legends = {
        method: Legend(method, escaped(labels[method]), style)
        for method, style in styles([row.method for row in analysis.rows], analysis.baseline).items()
    }
    figure = make_subplots(rows=1, cols=len(panels), horizontal_spacing=0.09)
    named: list[str] = []
    for number, panel in enumerate(panels, start=1):
        for method in legends:
            if method in panel.curves:
                draw(figure, panel.curves[method], legends[method], col=number, first=method not in named)
                named += [method] if method not in named else []
        figure.update_xaxes(title_text=panel.x_title, row=1, col=number)
        figure.update_yaxes(title_text=panel.y_title, type="log" if log else "linear", row=1, col=number)
    if not named:
        return None
    return dress(figure, height + legend_height(named), len(named))


__all__ = ["line_figure", "noise_figure", "path_figure", "peers_figure", "plane_figure", "posterior_figure"]
