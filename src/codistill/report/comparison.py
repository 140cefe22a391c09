"""The table of a study, in the manner of the DML paper's."""

from codistill.report.measures import RETRIEVAL, Measure, measure_of
from codistill.report.numbers import MISSING, count, interval, percent, points, times
from codistill.report.prose import sentences
from codistill.report.table import Cell, Column, Row, Table
from codistill.report.traffic import traffic_notes
from codistill.report.verdict import BASELINE, NONE, judge, verdict
from codistill.study.summary import Summary, SummaryRow

MARK = "†"


def comparison(summary: Summary) -> Table:
    """The rows of a summary with their verdicts; notes say what its columns mean."""
    measure = measure_of(summary)
    rows = tuple(_row(row, measure, summary.quick) for row in summary.rows)
    seeds = count(len(summary.seeds), "seed")
    title = f"{summary.recipe}: test {measure.name}, {seeds}"
    return Table(title, _columns(summary, measure), rows, notes=tuple(footnotes(summary, rows)))


def _columns(summary: Summary, measure: Measure) -> tuple[Column, ...]:
    """Beside the mAP of retrieval stands its rank-1, beside other measures the ECE."""
    gain = f"Gain over {baseline_label(summary)}, points"
    return (
        Column("Method"),
        Column("Networks per cohort", "(in all)", "Nets", "(all)"),
        Column(f"{measure.title} of one network, %", "± sd", measure.short, "± sd"),
        Column(gain, "[95 % interval]", "Gain, points", "[95 % interval]"),
        Column("Ensemble, %", "(trained alone)", "Ens. %", "(alone)"),
        Column("Rank-1, %", "", "Rank-1%") if measure is RETRIEVAL else Column("ECE, %", "", "ECE %"),
        Column("Forward / backward passes", "(per network)", "Fwd/bwd", "(each)"),
        Column("Training time, relative", "(per network)", "Time", "(each)"),
    )


def _row(row: SummaryRow, measure: Measure, quick: bool) -> Row:
    kind, cost, ensemble = judge(row), row.cost, row.ensemble
    alone = MISSING if kind == BASELINE or ensemble is None else percent(ensemble.alone)
    spread = f"± {percent(row.sd)}" if row.sd is not None else "one net" if row.networks == 1 else ""
    passes = _passes(cost.forward_per_network, cost.backward_per_network)
    cells = (
        Cell(row.label + (f" {MARK}" if row.same_gradient_as else ""), row.method),
        Cell(str(row.peers), f"({row.networks})"),
        Cell(percent(row.mean), spread),
        _gain(row),
        Cell(percent(ensemble.mean) if ensemble else MISSING, _beside(alone)),
        Cell(percent(row.beside.get("cmc1" if measure is RETRIEVAL else "ece"))),
        Cell(_passes(cost.forward, cost.backward), _beside(passes)),
        Cell(times(cost.seconds, 2), _beside(times(cost.seconds_per_network, 2))),
    )
    return Row(cells, kind, verdict(row, quick))


def _gain(row: SummaryRow) -> Cell:
    if row.alone:
        return Cell("baseline")
    if row.gain is None:
        return Cell(MISSING)
    none = "one seed: none" if row.seeds == 1 else "no interval"
    bounds = interval(row.gain.interval) if row.gain.interval else none
    return Cell(f"{points(row.gain.mean)}  n={row.seeds}", bounds)


def _passes(forward: float, backward: float) -> str:
    return f"{times(forward)}/{times(backward)}"


def _beside(text: str) -> str:
    return "" if text == MISSING else f"({text})"


def baseline_label(summary: Summary) -> str:
    """What the baseline is called in tables."""
    return next((row.label for row in summary.rows if row.method == summary.baseline), summary.baseline)


def footnotes(summary: Summary, rows: tuple[Row, ...]) -> list[str]:
    """What the columns mean and how far they can be trusted; only what the table needs."""
    measure, labels = measure_of(summary), {row.method: row.label for row in summary.rows}
    twins = [(row.label, row.same_gradient_as) for row in summary.rows if row.same_gradient_as]
    said = sentences(
        "footnotes.txt",
        summary=summary,
        measure=measure,
        retrieval=measure is RETRIEVAL,
        baseline=baseline_label(summary),
        compared=[row for row in summary.rows if row.gain],
        bounded=any(row.gain and row.gain.interval for row in summary.rows),
        judged=sum(judge(row) not in (BASELINE, NONE) for row in summary.rows),
        timed=any(row.cost.seconds is not None for row in summary.rows),
        calibrated=measure is not RETRIEVAL and any("ece" in row.beside for row in summary.rows),
        same=[f"{label} has exactly the same gradient as {labels.get(other, other)}" for label, other in twins],
        dashes=any(MISSING in (cell.main, cell.detail) for row in rows for cell in row.cells),
        mark=MARK,
        missing=MISSING,
    )
    return [*said, *traffic_notes(summary), *summary.notes]
