"""Figures of an analysis. Each is None where the data for it is lacking."""

import math
from collections import defaultdict
from collections.abc import Iterable

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.analysis import Analysis
from codistill.analysis.measures import Plane
from codistill.analysis.surface import LINE
from codistill.report.numbers import known
from codistill.report.palette import styles
from codistill.report.plots.curves import Legend, Panel, Point, around, by_method, figure_of, ranging
from codistill.report.plots.layout import dress, escaped

_FLOOR = 1e-6  # below this a loss on a logarithmic axis is drawn there
_LOSS = "Training loss, nats"
_MOST_PLANES = 6


def noise_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss by size of the noise, absolute and relative."""
    panels = []
    for x_title, name in (("σ, absolute", "noise_detail"), ("σ, relative to each filter", "noise_relative_detail")):
        curves = ((n.method, curve) for n in analysis.networks if (curve := getattr(n, name)) is not None)
        values = ((method, *at) for method, curve in curves for at in zip(curve.sizes, curve.loss, strict=True))
        panels.append(_panel(x_title, _LOSS, values, _FLOOR))
    figure = _side_by_side(analysis, *panels)
    return None if figure is None else figure.update_xaxes(type="log")


def posterior_figure(analysis: Analysis) -> go.Figure | None:
    """Mean posterior by rank, on training and on test examples."""
    train = ((n.method, *ranked) for n in analysis.networks for ranked in enumerate(n.train_top, start=1))
    test = ((n.method, *ranked) for n in analysis.networks for ranked in enumerate(n.test_top, start=1))
    panels = [_panel("Rank, train", "Mean probability", train), _panel("Rank, test", "Mean probability", test)]
    figure = _side_by_side(analysis, *panels, height=320)
    return None if figure is None else figure.update_xaxes(dtick=1)


def line_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss along a random direction."""
    values = ((n.method, *at) for n in analysis.networks if n.line for at in zip(LINE, n.line, strict=True))
    return _side_by_side(analysis, _panel("Distance, in lengths of the filters", _LOSS, values, _FLOOR))


def path_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss on the straight way between two peers."""
    values = ((path.method, *at) for path in analysis.paths for at in zip(path.at, path.loss, strict=True))
    panel = _panel("Part of the way from one peer's weights to the other's", _LOSS, values)
    return _side_by_side(analysis, panel, log=False)


def peers_figure(analysis: Analysis) -> go.Figure | None:
    """Divergence and agreement of peers by epoch."""
    divergence: dict[str, list[Point]] = defaultdict(list)
    agreement: dict[str, list[Point]] = defaultdict(list)
    for each in analysis.peers:
        if each.divergence is not None:
            divergence[each.method].append(around(each.epoch, each.divergence, each.divergence_sd))
        if each.agreement is not None:
            agreement[each.method].append(around(each.epoch, each.agreement, each.agreement_sd))
    panels = Panel("Divergence, nats", divergence, "Epoch"), Panel("Agreement", agreement, "Epoch")
    return _side_by_side(analysis, *panels, log=False)


def plane_figure(analysis: Analysis) -> go.Figure | None:
    """Training loss on a plane through one network of each method, all in the same colours."""
    planes = [p for p in analysis.planes if any(known(v) for row in p.loss for v in row)][:_MOST_PLANES]
    if not planes:
        return None
    columns = min(3, len(planes))
    rows = math.ceil(len(planes) / columns)
    figure = make_subplots(rows=rows, cols=columns, horizontal_spacing=0.06, vertical_spacing=0.24 / rows)
    for number, plane in enumerate(planes):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        title = escaped(f"{analysis.labels.get(plane.method, plane.method)}, seed {plane.seed}")
        figure.add_trace(_contour(plane), **place).update_xaxes(title_text=title, **place)
    dress(figure, 60 + 290 * rows)
    ticks = list(range(-3, 3))
    bar = {"title": "nats", "tickvals": ticks, "ticktext": [f"{10.0**t:g}" for t in ticks], "thickness": 12}
    colours = {"cmin": -3, "cmax": 2, "colorscale": "Viridis", "colorbar": bar}
    return figure.update_layout(coloraxis=colours, margin={"r": 60})


def _contour(plane: Plane) -> go.Contour:
    """The logarithm of the losses on a plane."""
    return go.Contour(
        x=plane.at,
        y=plane.at,
        z=[[math.log10(max(v, _FLOOR)) if known(v) else None for v in losses] for losses in plane.loss],
        coloraxis="coloraxis",
        contours={"start": -3, "end": 2, "size": 0.5},
        line={"width": 0.5},
        hovertemplate="%{x}, %{y}: 10^%{z:.2f} nats<extra></extra>",
    )


def _panel(
    x_title: str, y_title: str, values: Iterable[tuple[str, float, float | None]], floor: float = -math.inf
) -> Panel:
    """The curve of each method: the mean over its networks, and a band from the lowest to the highest."""
    return Panel(y_title, {method: ranging(each) for method, each in by_method(values, floor).items()}, x_title)


def _side_by_side(analysis: Analysis, *panels: Panel, log: bool = True, height: int = 340) -> go.Figure | None:
    """The panels with one legend; None where none has a curve."""
    style = styles([row.method for row in analysis.rows], analysis.baseline)
    legends = {method: Legend(escaped(analysis.labels[method]), style[method]) for method in style}
    figure = figure_of(panels, legends, height)
    return None if figure is None else figure.update_yaxes(type="log" if log else "linear")
