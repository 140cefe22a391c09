"""What is measured by the number of networks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from codistill.report.measures import measure_of
from codistill.report.numbers import count, known, percent
from codistill.report.palette import styles
from codistill.report.plots.layout import AXIS, PERCENT, dress, escaped
from codistill.report.verdict import is_mutual
from codistill.spec import Spec
from codistill.statistics.interval import mean_sd
from codistill.study.results import Result, measured, row_of, values_of
from codistill.study.summary import Summary, SummaryRow


@dataclass(frozen=True)
class Size:
    """A point: number of networks, mean, sd and colour."""

    peers: int
    mean: float | None
    sd: float | None
    colour: str


def cohort_size_figure(summary: Summary, results: Sequence[Result] = ()) -> go.Figure | None:
    """What is measured by number of networks, of one network and of their ensemble, where several were run."""
    measure, family = measure_of(summary), _largest_family(summary)
    if len(family) < 2:
        return None
    style = styles([row.method for row in summary.rows], summary.baseline)
    colours = {row.method: style[row.method].colour for row in summary.rows}
    grey = style[summary.baseline].colour
    base = [row for row in summary.rows if row.method == summary.baseline]
    single = [Size(1, row.mean, row.sd, grey) for row in base]
    single += [Size(row.peers, row.mean, row.sd, colours[row.method]) for row in family]
    one = [Size(1, row.mean, None, grey) for row in base]  # an ensemble of one network is that network
    together = [
        Size(row.peers, row.ensemble.mean, _ensemble_sd(row, results, measure.key), colours[row.method])
        for row in family
        if row.ensemble
    ]
    apart = [Size(row.peers, row.ensemble.alone, None, grey) for row in family if row.ensemble]
    aside = 0.006 * family[-1].peers  # so that the bars do not cover one another
    figure = go.Figure()
    _line(figure, "One network", single, ("solid", "circle", -aside), "sd over networks")
    _line(figure, "Ensemble", one + together, ("dash", "diamond", aside), "sd over seeds")
    _line(figure, "Ensemble of as many trained alone", one + apart, ("dot", "square-open", 0.0), "")
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
    values = values_of(ensembles, measure)
    return mean_sd(values)[1] if len(values) > 1 else None


def _line(figure: go.Figure, name: str, sizes: Sequence[Size], style: tuple[str, str, float], spread: str) -> None:
    points = [(size, size.mean) for size in sizes if size.mean is not None]
    if len(points) < 2:
        return
    dash, symbol, aside = style
    sds = [100 * size.sd if size.sd is not None and known(size.sd) else None for size, _ in points]
    notes = [f", {spread} {percent(size.sd)}" if known(size.sd) else "" for size, _ in points]
    figure.add_scatter(
        x=[size.peers + aside * (size.peers > 1) for size, _ in points],
        y=[100 * mean for _, mean in points],
        name=name,
        mode="lines+markers",
        line={"color": AXIS, "dash": dash, "width": 1.5},
        marker={"color": [size.colour for size, _ in points], "size": 10, "symbol": symbol},
        error_y={"array": sds, "thickness": 1.2, "width": 5, "color": AXIS, "visible": any(notes)},
        hovertemplate=[
            f"{name}, {count(size.peers, 'network')}: {percent(mean)} %{note}<extra></extra>"
            for (size, mean), note in zip(points, notes, strict=True)
        ],
    )
