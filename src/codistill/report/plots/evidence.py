"""Figures of what networks decide, example by example: gains per class, calibration; and who learns from whom."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyArrowPatch

from codistill.report.evidence import ClassGain, Lessons, ReliabilityBin
from codistill.report.numbers import wrapped
from codistill.report.palette import Style, styles
from codistill.report.plots.drawing import INK, SOFT, WIDTH, Plot, legend, legend_height
from codistill.report.plots.layout import name_of
from codistill.study.summary import Summary

MOST_CLASSES = 24  # of a figure
MOST_GRAPHS = 6


def class_figure(summary: Summary, gains: Mapping[str, Sequence[ClassGain]]) -> Plot | None:
    """Gain in recall of every class, a mark for each row; of many classes those that gained and lost most.

    Args:
        summary: of the study.
        gains: of each row but the baseline, class by class.
    """
    rows = [row for row in summary.rows if gains.get(row.method)]
    if not rows:
        return None
    style, first = styles([row.method for row in summary.rows], summary.baseline), gains[rows[0].method]
    shown = _extremes(first)

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.axvline(0, color=SOFT, linewidth=1.2)
        looks = []
        for i, row in enumerate(rows):
            by_name = {gain.name: gain for gain in gains[row.method]}
            look = style[row.method]
            aside = 0.5 * (i / max(len(rows) - 1, 1) - 0.5)
            x, y = [100 * by_name[name].gain for name in shown], [at + aside for at in range(len(shown))]
            (line,) = axes.plot(x, y, color=look.colour, marker=look.marker, markersize=6, linestyle="none")
            looks.append(line)
        axes.set_yticks(range(len(shown)), ["\n".join(wrapped(name, 22)) for name in shown])
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel="Gain in recall over training alone, percentage points")
        legend(canvas, [(name_of(row), look) for row, look in zip(rows, looks, strict=True)])

    numbers = tuple(
        (row.label, gain.name, gain.n, 100 * gain.alone, 100 * gain.recall, 100 * gain.gain)
        for row in rows
        for gain in gains[row.method]
    )
    columns = ("row", "class", "test examples", "recall alone, %", "recall, %", "gain, points")
    height = 60 + 26 * len(shown) + legend_height([name_of(row) for row in rows])
    return Plot(
        height, paint, columns, numbers, "Gain in recall of every class over training alone, a mark for each row"
    )


def _extremes(gains: Sequence[ClassGain]) -> list[str]:
    """All classes in order, or those of largest loss and largest gain."""
    if len(gains) <= MOST_CLASSES:
        return [gain.name for gain in gains]
    ordered = [gain.name for gain in sorted(gains, key=lambda gain: gain.gain)]
    return [*ordered[: MOST_CLASSES // 2], *ordered[-MOST_CLASSES // 2 :]]


def reliability_figure(summary: Summary, bins: Mapping[str, Sequence[ReliabilityBin]]) -> Plot | None:
    """Accuracy by confidence: on the diagonal a network is as often right as it believes.

    Args:
        summary: of the study.
        bins: of each row, those that hold examples.
    """
    rows = [row for row in summary.rows if bins.get(row.method)]
    if not rows:
        return None
    style = styles([row.method for row in summary.rows], summary.baseline)

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.plot([0, 100], [0, 100], color=SOFT, linewidth=1, linestyle="--")
        looks = [_reliability(axes, bins[row.method], style[row.method]) for row in rows]
        axes.set(xlabel="Confidence, %", ylabel="Accuracy at that confidence, %", xlim=(0, 101), ylim=(0, 101))
        legend(canvas, [(name_of(row), look) for row, look in zip(rows, looks, strict=True)])

    numbers = tuple(
        (row.label, each.low, each.high, each.n, each.confidence, each.accuracy)
        for row in rows
        for each in bins[row.method]
    )
    columns = ("row", "from", "to", "decisions", "mean confidence", "accuracy")
    says = "Accuracy against confidence, one line for each row, and the diagonal of perfect calibration"
    return Plot(360 + legend_height([name_of(row) for row in rows]), paint, columns, numbers, says)


def _reliability(axes: Axes, bins: Sequence[ReliabilityBin], style: Style) -> object:
    """A line through the bins, marks as large as their share of all decisions."""
    x, y = [100 * each.confidence for each in bins], [100 * each.accuracy for each in bins]
    total = sum(each.n for each in bins)
    sizes = [12 + 90 * each.n / total for each in bins]
    axes.scatter(x, y, s=sizes, color=style.colour, marker=style.marker, linewidths=0)
    (line,) = axes.plot(x, y, color=style.colour, linestyle=style.dash, linewidth=1.5)
    return line


class Edge(NamedTuple):
    """A student, its source and the weight."""

    student: int
    source: int
    weight: float


def edges_of(weights: Sequence[Sequence[float]]) -> list[Edge]:
    """The edges of W[student][source] that have a weight; nobody learns from itself here."""
    return [
        Edge(student, source, weight)
        for student, row in enumerate(weights)
        for source, weight in enumerate(row)
        if weight and student != source
    ]


def graph_figure(lessons: Iterable[Lessons]) -> Plot | None:
    """Who learns from whom: an arrow from each source to its student, as wide as its weight.

    Args:
        lessons: of each row in which peers learn from one another.
    """
    shown = list(lessons)[:MOST_GRAPHS]
    if not shown:
        return None
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)

    def paint(canvas: Canvas) -> None:
        all_axes = canvas.subplots(rows, columns, squeeze=False).flatten()
        for each, axes in zip(shown, all_axes, strict=False):
            _draw_graph(axes, each)
        for axes in all_axes[len(shown) :]:
            axes.remove()

    numbers = tuple((each.label, *edge) for each in shown for edge in edges_of(each.weights))
    says = "; ".join(f"{each.label}: {_in_words(each)}" for each in shown)
    side = WIDTH / 2 + 30
    return Plot(side * rows, paint, ("row", "student", "source", "weight"), numbers, says)


def _in_words(lessons: Lessons) -> str:
    edges = edges_of(lessons.weights)
    return ", ".join(f"network {e.student} learns from network {e.source} with weight {e.weight:.2g}" for e in edges)


def _draw_graph(axes: Axes, lessons: Lessons) -> None:
    edges, peers = edges_of(lessons.weights), len(lessons.weights)
    most = max((edge.weight for edge in edges), default=1.0)
    same = len({round(edge.weight, 6) for edge in edges}) == 1
    around = [math.pi / 2 - 2 * math.pi * number / peers for number in range(peers)]
    places = [(math.cos(angle), math.sin(angle)) for angle in around]
    for edge in edges:
        begin, end = places[edge.source], places[edge.student]
        arrow = FancyArrowPatch(
            begin,
            end,
            connectionstyle="arc3,rad=0.12",
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=15,
            shrinkB=15,
            color=SOFT,
            linewidth=0.6 + 2.4 * edge.weight / most,
        )
        axes.add_patch(arrow)
        if not same:  # nearer to the student, right of the arrow
            x, y = (0.35 * a + 0.65 * b for a, b in zip(begin, end, strict=True))
            axes.text(x, y, f"{edge.weight:.2g}", fontsize=9, ha="center", va="center", color=INK)
    for number, (x, y) in enumerate(places):
        axes.plot(x, y, marker="o", markersize=26, color="#0072b2")
        axes.text(x, y, str(number), color="#fffffe", ha="center", va="center", fontweight="bold")
    under = f"every arrow: {edges[0].weight:.2g}" if same and edges else ""
    axes.set_title("\n".join(wrapped(lessons.label, 30)))
    axes.text(0, -1.5, under, ha="center", va="center", color=SOFT, fontsize=11)
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.65, 1.35), aspect="equal")
    axes.set_axis_off()
