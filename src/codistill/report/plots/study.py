"""Figures of a study. Each is None where the data for it is lacking."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from codistill.analysis.peers import known_mean_sd
from codistill.report.comparison import baseline_label
from codistill.report.measures import measure_of
from codistill.report.numbers import known
from codistill.report.palette import Style, styles
from codistill.report.plots.drawing import SOFT, Plot, legend, legend_height
from codistill.report.plots.layout import bars, name_of
from codistill.report.verdict import is_mutual
from codistill.spec import Spec
from codistill.statistics.interval import Gain
from codistill.study.results import Result, measured, row_of, values_of
from codistill.study.summary import Summary, SummaryRow


def gain_figure(summary: Summary) -> Plot | None:
    """Gain over the baseline: a point per seed, the mean and its interval per method, a line at zero."""
    gains = [(row, row.gain) for row in summary.rows if row.gain]
    if not gains:
        return None
    style = styles([row.method for row in summary.rows], summary.baseline)
    names = [name_of(row, 22) for row, _ in gains]
    title = f"Gain over {baseline_label(summary)}, percentage points"

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.axvline(0, color=SOFT, linewidth=1.2)
        for number, (row, gain) in enumerate(gains):
            _gain_marks(axes, gain, number, style[row.method])
        axes.set_yticks(range(len(gains)), names)
        axes.set(ylim=(len(gains) - 0.45, -0.55), xlabel=title)
        axes.grid(visible=False, axis="y")

    numbers = []
    for row, gain in gains:
        low, high = (100 * end for end in gain.interval) if gain.interval else (None, None)
        numbers.append((row.label, "mean", 100 * gain.mean, low, high))
        numbers += [
            (row.label, f"seed {seed}", 100 * each, None, None)
            for seed, each in zip(summary.seeds, gain.per_seed, strict=True)
        ]
    height = 60 + sum(max(46, 17 * (1 + name.count("\n")) + 12) for name in names)
    columns = ("row", "of", "gain, points", "low", "high")
    return Plot(height, paint, columns, tuple(numbers), f"{title}: a mark for each seed, and means with intervals")


def _gain_marks(axes: Axes, gain: Gain, number: int, style: Style) -> None:
    """A small mark for each seed, apart so that equal gains show, and above them the mean with its interval."""
    places = [number + 0.17 + 0.05 * (i % 3) for i in range(len(gain.per_seed))]
    axes.scatter(
        [100 * g for g in gain.per_seed],
        places,
        s=26,
        marker=style.marker,
        color=style.colour,
        alpha=0.55,
        linewidths=0,
    )
    axes.errorbar(
        [100 * gain.mean], [number - 0.12], xerr=bars(gain), color=style.colour, marker="D", markersize=8, capsize=4
    )


@dataclass(frozen=True)
class Size:
    """A point: number of networks, mean, sd and colour."""

    peers: int
    mean: float
    sd: float | None
    colour: str


@dataclass(frozen=True)
class SizeLine:
    """What is drawn of one network, or of ensembles, by size: its name, points and look; how far it stands aside."""

    name: str
    sizes: Sequence[Size]
    dash: str
    marker: str
    aside: float


def cohort_size_figure(summary: Summary, results: Sequence[Result] = ()) -> Plot | None:
    """What is measured by number of networks, of one network and of their ensemble, where several were run."""
    measure, family = measure_of(summary), _largest_family(summary)
    if len(family) < 2:
        return None
    style = styles([row.method for row in summary.rows], summary.baseline)
    grey = style[summary.baseline].colour
    base = [row for row in summary.rows if row.method == summary.baseline]
    single = [Size(1, row.mean, row.sd, grey) for row in base]
    single += [Size(row.peers, row.mean, row.sd, style[row.method].colour) for row in family]
    one = [Size(1, row.mean, None, grey) for row in base]  # an ensemble of one network is that network
    together = [
        Size(row.peers, row.ensemble.mean, _ensemble_sd(row, results, measure.key), style[row.method].colour)
        for row in family
        if row.ensemble
    ]
    alone = [(row.peers, row.ensemble.alone) for row in family if row.ensemble]
    apart = [Size(peers, mean, None, grey) for peers, mean in alone if mean is not None]
    aside = 0.006 * family[-1].peers  # so that the bars do not cover one another
    lines = [
        SizeLine("One network", single, "-", "o", -aside),
        SizeLine("Ensemble", one + together, "--", "D", aside),
        SizeLine("Ensemble of as many trained alone", one + apart, ":", "s", 0.0),
    ]
    shown = [line for line in lines if len(line.sizes) > 1]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        looks = [_draw_sizes(axes, line) for line in shown]
        axes.set_xticks(sorted({size.peers for size in single}))
        axes.set_xlabel(f"Networks per cohort (1: alone, then {Spec.of(family[0].method).name})")
        axes.set_ylabel(f"Test {measure.name}, %")
        legend(canvas, [(line.name, look) for line, look in zip(shown, looks, strict=True)])

    numbers = tuple(
        (line.name, size.peers, 100 * size.mean, 100 * size.sd if known(size.sd) else None)
        for line in shown
        for size in line.sizes
    )
    columns = ("what", "networks", f"{measure.name}, %", "sd")
    says = f"Test {measure.name} by the number of networks that learn together"
    return Plot(320 + legend_height([line.name for line in shown]), paint, columns, numbers, says)


def _largest_family(summary: Summary) -> list[SummaryRow]:
    """Rows that differ in their number of networks only, smallest first; of several families the largest."""
    families: dict[str, dict[int, SummaryRow]] = defaultdict(dict)
    for row in filter(is_mutual, summary.rows):
        spec = Spec.of(row.method)
        rest = Spec(spec.name, spec.args, {k: v for k, v in spec.options.items() if k != "peers"})
        families[str(rest)].setdefault(row.peers, row)
    best = max(families.values(), key=len, default={})
    return [best[peers] for peers in sorted(best)]


def _ensemble_sd(row: SummaryRow, results: Sequence[Result], measure: str) -> float | None:
    """Over seeds, of the ensembles of all networks of a row's cohorts."""
    ensembles = [r for r in measured(results) if row_of(r) == row.method and r.networks == row.peers > 1]
    return known_mean_sd(values_of(ensembles, measure))[1]


def _draw_sizes(axes: Axes, line: SizeLine) -> object:
    """A line with its marks, each in the colour of its row; returned is the line."""
    x = [size.peers + line.aside * (size.peers > 1) for size in line.sizes]
    y = [100 * size.mean for size in line.sizes]
    spread = [100 * size.sd if known(size.sd) else 0.0 for size in line.sizes]
    if any(spread):
        axes.errorbar(x, y, yerr=spread, color=SOFT, linestyle="none", elinewidth=1.2, capsize=3)
    filled = "none" if line.marker == "s" else None
    for at, value, size in zip(x, y, line.sizes, strict=True):
        face = size.colour if filled is None else filled
        axes.plot(at, value, marker=line.marker, color=size.colour, markerfacecolor=face, markersize=8, zorder=3)
    (drawn,) = axes.plot(x, y, color=SOFT, linestyle=line.dash, linewidth=1.5)
    return drawn


def cost_figure(summary: Summary) -> Plot | None:
    """What is measured against training cost: one network at its share of the cost, the ensemble at the cohort's."""
    if len(summary.rows) < 2:
        return None
    timed = all(row.cost.seconds is not None for row in summary.rows)
    style = styles([row.method for row in summary.rows], summary.baseline)
    words = "Training time" if timed else "Forward passes"
    name = measure_of(summary).name
    spots = [(row, _spots(row, timed)) for row in summary.rows]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        looks = [_cost_marks(axes, row, each, style[row.method]) for row, each in spots]
        axes.set(xlabel=f"{words}, multiples of one network", ylabel=f"Test {name}, %")
        legend(canvas, [(name_of(row), look) for (row, _), look in zip(spots, looks, strict=True)])

    numbers = tuple((row.label, spot.what, spot.cost, spot.value) for row, each in spots for spot in each)
    columns = ("row", "what", f"{words.lower()}, multiples", f"{name}, %")
    says = f"Test {name} of every row against its training cost"
    return Plot(320 + legend_height([name_of(row) for row in summary.rows]), paint, columns, numbers, says)


class Spot(NamedTuple):
    """What one network, or an ensemble, costs and reaches."""

    what: str
    cost: float
    value: float


def _spots(row: SummaryRow, timed: bool) -> list[Spot]:
    cost = row.cost
    each, cohort = (cost.seconds_per_network, cost.seconds) if timed else (cost.forward_per_network, cost.forward)
    assert each is not None
    assert cohort is not None
    spots = [Spot("one network", each, 100 * row.mean)]
    if row.ensemble and row.peers > 1:
        spots.append(Spot(f"ensemble of {row.peers}", cohort, 100 * row.ensemble.mean))
    return spots


def _cost_marks(axes: Axes, row: SummaryRow, spots: Sequence[Spot], style: Style) -> object:
    """Filled one network with the interval of its gain, open the ensemble; returned is the filled mark."""
    axes.plot(
        [s.cost for s in spots], [s.value for s in spots], color=style.colour, alpha=0.5, linestyle=":", linewidth=1
    )
    for spot in spots[1:]:
        axes.plot(spot.cost, spot.value, marker="D", color=style.colour, markerfacecolor="none", markersize=8)
    # no caps: one would show inside the ensemble's mark, which has no interval
    reach = bars(row.gain)
    return axes.errorbar(
        [spots[0].cost],
        [spots[0].value],
        yerr=reach,
        color=style.colour,
        marker=style.marker,
        markersize=8,
        linestyle="none",
    )
