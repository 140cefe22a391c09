"""The table of a study, in the manner of the DML paper's."""

from codistill.report.measures import RETRIEVAL, Measure, measure_of
from codistill.report.numbers import MISSING, count, interval, listed, percent, points, times
from codistill.report.table import Cell, Column, Row, Table
from codistill.report.verdict import BASELINE, NONE, judge, verdict
from codistill.study.summary import Cost, Summary, SummaryRow

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
    ranks = measure is RETRIEVAL
    return (
        Column("Method"),
        Column("Networks per cohort", "(in all)", "Nets", "(all)"),
        Column(f"{measure.title} of one network, %", "± sd", measure.short, "± sd"),
        Column(gain, "[95 % interval]", "Gain, points", "[95 % interval]"),
        Column("Ensemble, %", "(trained alone)", "Ens. %", "(alone)"),
        Column("Rank-1, %", "", "Rank-1%") if ranks else Column("ECE, %", "", "ECE %"),
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
    measure = measure_of(summary)
    said = [
        f"{measure.title}: mean over all networks of all seeds on the test set of {summary.n_test} {measure.examples}, "
        "never the best of them; sd is the standard deviation over networks.",
        *_about_measure(measure),
        *_about_gains(summary, measure),
    ]
    if any(row.ensemble for row in summary.rows):
        said.append(
            f"Ensemble: {measure.name} {measure.ensemble}; in parentheses that of the same networks trained alone."
        )
    said += _about_cost([row.cost for row in summary.rows])
    if any("ece" in row.beside for row in summary.rows) and measure is not RETRIEVAL:
        said.append("ECE: expected calibration error, the gap between confidence and accuracy; 0 is best.")
    said += _same_gradient(summary)
    if any(MISSING in (cell.main, cell.detail) for row in rows for cell in row.cells):
        said.append(f"{MISSING} stands where nothing was measured.")
    return [*said, *summary.notes]


def _about_measure(measure: Measure) -> list[str]:
    if measure is RETRIEVAL:
        return [
            "It is the mean over queries of the mean precision at a query's matches; rank-1 is how often the nearest "
            "picture is a match. Of a query's identity, pictures by its own camera are left out."
        ]
    if measure.key == "map":
        return ["It is the mean over labels of the average precision of the examples' ranking by that label."]
    return []


def _about_gains(summary: Summary, measure: Measure) -> list[str]:
    compared = [row for row in summary.rows if row.gain]
    bounded = any(row.gain and row.gain.interval for row in compared)
    said = []
    if compared:
        said.append(
            f"Gain: mean {measure.name} of a method's networks minus that of “{baseline_label(summary)}” with the same "
            "seed, in percentage points, averaged over n seeds"
            + ("; in brackets the 95 % interval of this mean (Student t over seeds)." if bounded else ".")
        )
    if bounded:
        said.append(
            "The interval says how far other seeds could move the gain on this one fixed test set of "
            f"{summary.n_test} {measure.examples}; other test {measure.examples} would move it further."
        )
    if any(row.seeds == 1 for row in compared):
        said.append("One seed gives no interval, so such a gain cannot be told from chance.")
    if sum(judge(row) not in (BASELINE, NONE) for row in summary.rows) > 1:
        said.append("Each interval is for its row alone: of several gains, the largest is likely to be overestimated.")
    return said


def _about_cost(costs: list[Cost]) -> list[str]:
    timed = any(cost.seconds is not None for cost in costs)
    said = [
        f"Cost: forward and backward passes{' and training time' if timed else ''} as multiples of training one "
        "network alone, for the whole cohort (a teacher's training included); in parentheses per network delivered."
    ]
    if timed:
        said.append("Time was measured apart, method by method, since the methods of a study are trained side by side.")
    return said


def _same_gradient(summary: Summary) -> list[str]:
    labels = {row.method: row.label for row in summary.rows}
    pairs = [
        f"{row.label} has the very gradient of {labels.get(row.same_gradient_as, row.same_gradient_as)}"
        for row in summary.rows
        if row.same_gradient_as
    ]
    if not pairs:
        return []
    return [
        f"{MARK} {listed(pairs)} (the mean of the KLs is the KL from the mean plus a constant), so it is no "
        "second piece of evidence: what differs between the two rows is rounding, amplified by training."
    ]
