"""The table of a study, in the manner of the DML paper's."""

from collections.abc import Callable, Mapping
from functools import partial

from codistill.report.measures import RETRIEVAL, Measure, measure_of
from codistill.report.numbers import (
    MISSING,
    count,
    decimal,
    interval,
    percent,
    points,
    probability,
    signed,
    times,
)
from codistill.report.prose import sentences
from codistill.report.table import Cell, Column, Row, Table
from codistill.report.traffic import traffic_notes
from codistill.report.verdict import BASELINE, NONE, judge, p_values, verdict
from codistill.study.summary import Summary, SummaryRow

MARK = "†"
PValues = Mapping[str, tuple[float, float]]
CellOf = Callable[[SummaryRow], Cell]


def comparison(summary: Summary) -> Table:
    """The rows of a summary with their verdicts; notes say what its columns mean."""
    measure, p = measure_of(summary), p_values(summary)
    columns = _columns(summary, measure, p)
    verdicts = [verdict(row, summary.quick, p.get(row.method, (None,))[0]) for row in summary.rows]
    rows = tuple(
        Row(tuple(cell(row) for _, cell in columns), judge(row), said)
        for row, said in zip(summary.rows, verdicts, strict=True)
    )
    title = f"{summary.recipe}: test {measure.name}, {count(len(summary.seeds), 'seed')}"
    return Table(title, tuple(column for column, _ in columns), rows, notes=tuple(footnotes(summary, rows, len(p))))


def _columns(summary: Summary, measure: Measure, p: PValues) -> list[tuple[Column, CellOf]]:
    """Each with how its cells are made; what no row has is left out. Beside the mAP of retrieval stands its rank-1."""
    crossed = any(row.gain and row.gain.crossed for row in summary.rows)
    gain = f"Gain over {baseline_label(summary)}, points"
    bounds = "[95 % interval]" + ("\n[other examples too]" if crossed else "")
    beside = "difference [95 % interval]"
    rows = summary.rows
    shown = {
        "p": bool(p),
        "ranks": measure is RETRIEVAL,
        "ece": measure is not RETRIEVAL,
        "nll": measure is not RETRIEVAL and any("nll" in row.beside for row in rows),
        "churn": any(row.churn is not None for row in rows),
    }
    columns: dict[str, tuple[Column, CellOf]] = {
        "method": (Column("Method"), _method),
        "networks": (Column("Networks per cohort", "(in all)", "Nets", "(all)"), _networks),
        "mean": (Column(f"{measure.title} of one network, %", "± sd", measure.short, "± sd"), _mean),
        "gain": (Column(gain, bounds, "Gain, points", bounds.replace("examples ", "")), _gain),
        "p": (Column("p, after Holm", "(before)", "p, Holm", "(before)", aside=True), partial(_p, p)),
        "ensemble": (Column("Ensemble, %", "(trained alone)", "Ens. %", "(alone)"), _ensemble),
        "ranks": (Column("Rank-1, %", "", "Rank-1%"), lambda row: Cell(percent(row.beside.get("cmc1")))),
        "ece": (Column("ECE, %", beside, "ECE, %", "difference", aside=True), partial(_against, "ece", points)),
        "nll": (Column("NLL, nats", beside, "NLL, nats", "difference", aside=True), partial(_against, "nll", signed)),
        "churn": (Column("Churn, %", beside, "Churn, %", "difference", aside=True), partial(_against, "churn", points)),
        "passes": (Column("Forward / backward passes", "(per network)", "Fwd/bwd", "(each)"), _cost),
        "seconds": (Column("Training time, relative", "(per network)", "Time", "(each)"), _time),
    }
    return [column for name, column in columns.items() if shown.get(name, True)]


def _method(row: SummaryRow) -> Cell:
    return Cell(row.label + (f" {MARK}" if row.same_gradient_as else ""), row.method)


def _networks(row: SummaryRow) -> Cell:
    return Cell(str(row.peers), f"({row.networks})")


def _mean(row: SummaryRow) -> Cell:
    spread = f"± {percent(row.sd)}" if row.sd is not None else "one net" if row.networks == 1 else ""
    return Cell(percent(row.mean), spread)


def _gain(row: SummaryRow) -> Cell:
    if row.alone:
        return Cell("baseline")
    if row.gain is None:
        return Cell(MISSING)
    none = "one seed: none" if row.seeds == 1 else "no interval"
    bounds = [interval(row.gain.interval) if row.gain.interval else none]
    if row.gain.crossed:
        bounds.append(interval(row.gain.crossed))
    return Cell(f"{points(row.gain.mean)}  n={row.seeds}", "\n".join(bounds))


def _p(p: PValues, row: SummaryRow) -> Cell:
    if row.method not in p:
        return Cell("" if row.alone else MISSING)
    adjusted, single = (probability(value) for value in p[row.method])
    return Cell(adjusted, f"({single})")


def _against(key: str, show: Callable[[float], str], row: SummaryRow) -> Cell:
    """A value, and below it its difference from the same networks trained alone."""
    value = row.churn if key == "churn" else row.beside.get(key)
    main = decimal(value) if key == "nll" else percent(value)
    difference = row.against_alone.get(key)
    if difference is None:
        return Cell(main)
    return Cell(main, f"{show(difference.mean)}\n{interval(difference.interval, show)}")


def _ensemble(row: SummaryRow) -> Cell:
    if row.ensemble is None:
        return Cell(MISSING)
    return Cell(percent(row.ensemble.mean), "" if row.alone else _beside(percent(row.ensemble.alone)))


def _cost(row: SummaryRow) -> Cell:
    cost = row.cost
    return Cell(
        _passes(cost.forward, cost.backward), _beside(_passes(cost.forward_per_network, cost.backward_per_network))
    )


def _time(row: SummaryRow) -> Cell:
    return Cell(times(row.cost.seconds, 2), _beside(times(row.cost.seconds_per_network, 2)))


def _passes(forward: float, backward: float) -> str:
    return f"{times(forward)}/{times(backward)}"


def _beside(text: str) -> str:
    return "" if text == MISSING else f"({text})"


def baseline_label(summary: Summary) -> str:
    """What the baseline is called in tables."""
    return next((row.label for row in summary.rows if row.method == summary.baseline), summary.baseline)


def footnotes(summary: Summary, rows: tuple[Row, ...], holm: int) -> list[str]:
    """What the columns mean and how far they can be trusted; only what the table needs.

    Args:
        summary: of the table.
        rows: its rows.
        holm: how many of them have a p-value.
    """
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
        holm=holm,
        judged=sum(judge(row) not in (BASELINE, NONE) for row in summary.rows),
        timed=any(row.cost.seconds is not None for row in summary.rows),
        crossed=any(row.gain and row.gain.crossed for row in summary.rows),
        calibrated=measure is not RETRIEVAL and any("ece" in row.beside for row in summary.rows),
        against=any("ece" in row.against_alone for row in summary.rows),
        churn=any(row.churn is not None for row in summary.rows),
        again=any("churn" in row.against_alone for row in summary.rows),
        same=[f"{label} has exactly the same gradient as {labels.get(other, other)}" for label, other in twins],
        dashes=any(MISSING in (cell.main, cell.detail) for row in rows for cell in row.cells),
        mark=MARK,
        missing=MISSING,
    )
    return [*said, *traffic_notes(summary), *summary.notes]
