"""Figures of a study. Each is None where the data for it is lacking."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from codistill.analysis.peers import known_mean_sd
from codistill.report.comparison import baseline_label
from codistill.report.measures import measure_of
from codistill.report.numbers import count, interval, known, percent, points, times
from codistill.report.palette import Style, styles
from codistill.report.plots.layout import AXIS, PERCENT, dress, error_bars, escaped, legend_height, name_of
from codistill.report.verdict import is_mutual
from codistill.spec import Spec
from codistill.statistics.interval import Gain
from codistill.study.results import Result, measured, row_of, values_of
from codistill.study.summary import Summary, SummaryRow


def gain_figure(summary: Summary) -> go.Figure | None:
    """Gain over the baseline: a point per seed, the mean and its interval per method, a line at zero."""
    gains = [(row, row.gain) for row in summary.rows if row.gain]
    if not gains:
        return None
    style = styles([row.method for row in summary.rows], summary.baseline)
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": AXIS, "width": 1.5}, layer="below")
    for number, (row, gain) in enumerate(gains):
        figure.add_traces(_gain_marks(gain, number, style[row.method], name_of(row), summary.seeds))
    names = [name_of(row, 18) for row, _ in gains]
    dress(figure, 90 + max(62, 20 * max(1 + name.count("<br>") for name in names)) * len(gains))
    figure.update_yaxes(tickvals=list(range(len(gains))), ticktext=names, range=[len(gains) - 0.45, -0.55])
    figure.update_yaxes(fixedrange=True, showgrid=False)
    return figure.update_xaxes(title_text=f"Gain over {escaped(baseline_label(summary))}, percentage points")


def _gain_marks(gain: Gain, number: int, style: Style, name: str, seeds: tuple[int, ...]) -> list[go.Scatter]:
    """A small mark for each seed, apart so that equal gains show, and above them the mean with its interval."""
    per_seed, bounds = gain.per_seed, f", 95 % interval {interval(gain.interval)}" if gain.interval else ""
    each = go.Scatter(
        x=[100 * g for g in per_seed],
        y=[number + 0.17 + 0.05 * (i % 3) for i in range(len(per_seed))],
        mode="markers",
        marker={"color": style.faint(0.55), "size": 7, "symbol": style.symbol},
        hovertemplate=[f"seed {seed}: {points(g)}<extra></extra>" for seed, g in zip(seeds, per_seed, strict=True)],
    )
    mean = go.Scatter(
        x=[100 * gain.mean],
        y=[number - 0.12],
        mode="markers",
        error_x=error_bars(gain, style.colour, thickness=2.5, width=6),
        marker={"color": style.colour, "size": 11, "symbol": "diamond"},
        hovertemplate=f"{name}: mean {points(gain.mean)}{bounds}<extra></extra>",
    )
    return [each, mean]


@dataclass(frozen=True)
class Size:
    """A point: number of networks, mean, sd and colour."""

    peers: int
    mean: float
    sd: float | None
    colour: str


def cohort_size_figure(summary: Summary, results: Sequence[Result] = ()) -> go.Figure | None:
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
    figure = go.Figure()
    _size_line(figure, "One network", single, ("solid", "circle", -aside), "sd over networks")
    _size_line(figure, "Ensemble", one + together, ("dash", "diamond", aside), "sd over seeds")
    _size_line(figure, "Ensemble of as many trained alone", one + apart, ("dot", "square-open", 0.0), "")
    dress(figure, 420, 3)
    name = escaped(Spec.of(family[0].method).name)
    sizes = sorted({size.peers for size in single})
    figure.update_xaxes(title_text=f"Networks per cohort (1: alone, then {name})", tickvals=sizes)
    return figure.update_yaxes(title_text=f"Test {measure.name}, %", autorangeoptions=PERCENT)


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


def _size_line(figure: go.Figure, name: str, sizes: Sequence[Size], style: tuple[str, str, float], spread: str) -> None:
    if len(sizes) < 2:
        return
    dash, symbol, aside = style
    sds = [100 * size.sd if known(size.sd) else None for size in sizes]
    notes = [f", {spread} {percent(size.sd)}" if known(size.sd) else "" for size in sizes]
    figure.add_scatter(
        x=[size.peers + aside * (size.peers > 1) for size in sizes],
        y=[100 * size.mean for size in sizes],
        name=name,
        mode="lines+markers",
        line={"color": AXIS, "dash": dash, "width": 1.5},
        marker={"color": [size.colour for size in sizes], "size": 10, "symbol": symbol},
        error_y={"array": sds, "thickness": 1.2, "width": 5, "color": AXIS, "visible": any(notes)},
        hovertemplate=[
            f"{name}, {count(size.peers, 'network')}: {percent(size.mean)} %{note}<extra></extra>"
            for size, note in zip(sizes, notes, strict=True)
        ],
    )


def cost_figure(summary: Summary) -> go.Figure | None:
    """What is measured against training cost: one network at its share of the cost, the ensemble at the cohort's."""
    if len(summary.rows) < 2:
        return None
    timed = all(row.cost.seconds is not None for row in summary.rows)
    style = styles([row.method for row in summary.rows], summary.baseline)
    figure = go.Figure([_cost_marks(row, timed, style[row.method]) for row in summary.rows])
    dress(figure, 400 + legend_height([row.label for row in summary.rows]), len(summary.rows))
    words = "Training time" if timed else "Forward passes"
    figure.update_xaxes(title_text=f"{words}, multiples of one network")
    return figure.update_yaxes(title_text=f"Test {measure_of(summary).name}, %", autorangeoptions=PERCENT)


def _cost_marks(row: SummaryRow, timed: bool, style: Style) -> go.Scatter:
    cost = row.cost
    each, cohort = (cost.seconds_per_network, cost.seconds) if timed else (cost.forward_per_network, cost.forward)
    spots = [(each, row.mean, style.symbol, "one network")]
    if row.ensemble and row.peers > 1:
        spots.append((cohort, row.ensemble.mean, "diamond-open", f"ensemble of {row.peers}"))
    return go.Scatter(
        x=[x for x, *_ in spots],
        y=[100 * a for _, a, *_ in spots],
        name=name_of(row),
        mode="lines+markers",
        line={"color": style.faint(0.5), "dash": "dot", "width": 1},
        marker={"color": style.colour, "symbol": [symbol for *_, symbol, _ in spots], "size": 11},
        # no caps: one would show inside the ensemble's mark, which has no interval
        error_y=error_bars(row.gain, style.colour, thickness=2, width=0),
        hovertemplate=[
            f"{name_of(row)}, {what}: {percent(a)} % at {times(x, 2)} times the cost<extra></extra>"
            for x, a, _, what in spots
        ],
    )
