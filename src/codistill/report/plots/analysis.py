"""Figures of an analysis. Each is None where the data for it is lacking."""

import math
from collections import defaultdict
from collections.abc import Iterable

from matplotlib.figure import Figure as Canvas

from codistill.analysis import Analysis
from codistill.analysis.measures import Plane
from codistill.analysis.surface import LINE
from codistill.report.numbers import known, wrapped
from codistill.report.palette import styles
from codistill.report.plots.curves import Legend, Panel, Point, around, by_method, figure_of, ranging
from codistill.report.plots.drawing import WIDTH, Plot

_FLOOR = 1e-6  # below this a loss on a logarithmic axis is drawn there
_LOSS = "Training loss, nats"
_MOST_PLANES = 6
_LEVELS = [number / 2 for number in range(-6, 5)]  # of log10 of the loss


def noise_figure(analysis: Analysis) -> Plot | None:
    """Training loss by size of the noise, absolute and relative."""
    panels = []
    for x_title, name in (("σ, absolute", "noise_detail"), ("σ, relative to each filter", "noise_relative_detail")):
        curves = ((n.method, curve) for n in analysis.networks if (curve := getattr(n, name)) is not None)
        values = ((method, *at) for method, curve in curves for at in zip(curve.sizes, curve.loss, strict=True))
        panels.append(_panel(x_title, _LOSS, values, _FLOOR))
    says = "Training loss by the size of the noise on the weights, one line for each row"
    return _figure(analysis, says, *panels, log="xy")


def posterior_figure(analysis: Analysis) -> Plot | None:
    """Mean posterior by rank, on training and on test examples."""
    train = ((n.method, *ranked) for n in analysis.networks for ranked in enumerate(n.train_top, start=1))
    test = ((n.method, *ranked) for n in analysis.networks for ranked in enumerate(n.test_top, start=1))
    panels = [_panel("Rank, train", "Mean probability", train), _panel("Rank, test", "Mean probability", test)]
    return _figure(analysis, "Mean probability by rank, one line for each row", *panels)


def line_figure(analysis: Analysis) -> Plot | None:
    """Training loss along a random direction."""
    values = ((n.method, *at) for n in analysis.networks if n.line for at in zip(LINE, n.line, strict=True))
    panel = _panel("Distance, in lengths of the filters", _LOSS, values, _FLOOR)
    return _figure(analysis, "Training loss along a random direction, one line for each row", panel)


def path_figure(analysis: Analysis) -> Plot | None:
    """Training loss on the straight way between two peers."""
    values = ((path.method, *at) for path in analysis.paths for at in zip(path.at, path.loss, strict=True))
    panel = _panel("Part of the way from one peer's weights to the other's", _LOSS, values)
    return _figure(analysis, "Training loss on the way between two peers, one line for each row", panel, log="")


def peers_figure(analysis: Analysis) -> Plot | None:
    """Divergence and agreement of peers by epoch."""
    divergence: dict[str, list[Point]] = defaultdict(list)
    agreement: dict[str, list[Point]] = defaultdict(list)
    for each in analysis.peers:
        if each.divergence is not None:
            divergence[each.method].append(around(each.epoch, each.divergence, each.divergence_sd))
        if each.agreement is not None:
            agreement[each.method].append(around(each.epoch, each.agreement, each.agreement_sd))
    panels = Panel("Divergence, nats", divergence, "Epoch"), Panel("Agreement", agreement, "Epoch")
    says = "Divergence and agreement of peers by epoch, one line for each row"
    return _figure(analysis, says, *panels, log="")


def plane_figure(analysis: Analysis) -> Plot | None:
    """Training loss on a plane through one network of each method, all in the same colours."""
    planes = [p for p in analysis.planes if any(known(v) for row in p.loss for v in row)][:_MOST_PLANES]
    if not planes:
        return None
    columns = min(2, len(planes))
    rows = math.ceil(len(planes) / columns)

    def paint(canvas: Canvas) -> None:
        all_axes = canvas.subplots(rows, columns, squeeze=False).flatten()
        for plane, axes in zip(planes, all_axes, strict=False):
            drawn = axes.contourf(plane.at, plane.at, _logs(plane), levels=_LEVELS, cmap="viridis", extend="both")
            axes.contour(plane.at, plane.at, _logs(plane), levels=_LEVELS, colors="black", linewidths=0.4)
            axes.set_title("\n".join(wrapped(_name(analysis, plane), 28)))
            axes.set_aspect("equal")
        for axes in all_axes[len(planes) :]:
            axes.remove()
        bar = canvas.colorbar(drawn, ax=list(all_axes[: len(planes)]), ticks=range(-3, 3), shrink=0.8, label="nats")
        bar.ax.set_yticklabels([f"{10.0**tick:g}" for tick in range(-3, 3)])

    numbers = tuple(
        (_name(analysis, plane), x, y, loss if known(loss) else None)
        for plane in planes
        for y, losses in zip(plane.at, plane.loss, strict=True)
        for x, loss in zip(plane.at, losses, strict=True)
    )
    says = "Maps of the training loss around one network of each row, in the same colours"
    return Plot((WIDTH - 60) / columns * rows + 30, paint, ("network", "x", "y", "loss, nats"), numbers, says)


def _name(analysis: Analysis, plane: Plane) -> str:
    return f"{analysis.labels.get(plane.method, plane.method)}, seed {plane.seed}"


def _logs(plane: Plane) -> list[list[float]]:
    """The logarithm of the losses on a plane; NaN where one is unknown."""
    return [[math.log10(max(v, _FLOOR)) if known(v) else math.nan for v in losses] for losses in plane.loss]


def _panel(
    x_title: str, y_title: str, values: Iterable[tuple[str, float, float | None]], floor: float = -math.inf
) -> Panel:
    """The curve of each method: the mean over its networks, and a band from the lowest to the highest."""
    return Panel(y_title, {method: ranging(each) for method, each in by_method(values, floor).items()}, x_title)


def _figure(analysis: Analysis, says: str, *panels: Panel, log: str = "y") -> Plot | None:
    """The panels with one legend; None where none has a curve."""
    style = styles([row.method for row in analysis.rows], analysis.baseline)
    legends = {method: Legend(analysis.labels[method], style[method]) for method in style}
    return figure_of(panels, legends, says, height=230, log=log)
