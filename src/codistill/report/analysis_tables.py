"""The tables of an analysis: each number explained, each read in words."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from rich.console import Console
from rich.text import Text

from codistill.analysis import Analysis
from codistill.analysis.seeds import Mean, MethodMeans
from codistill.report.numbers import MISSING, figure, listed
from codistill.report.prose import sentences
from codistill.report.quantities import FIT, NOISE, RANKED, SHARP, SURE, Quantity
from codistill.report.table import Cell, Column, Row, Table, terminal

WATCH = "Does the imitation loss do anything?"


def print_analysis(analysis: Analysis, console: Console) -> None:
    """What was measured, then table by table what the intervals say and what the numbers are."""
    for sentence in about(analysis):
        console.print(Text(sentence))
    for table in tables(analysis):
        console.print()
        console.print(terminal(table, console.width))
    if analysis.findings:
        console.print(Text(f"\n{WATCH}", style="bold"))
        for finding in analysis.findings:
            console.print(Text(str(finding), style="yellow" if finding.warning else ""))


def tables(analysis: Analysis) -> list[Table]:
    """The tables that an analysis has numbers for."""
    candidates = [
        _quantities(analysis, "fit", "Is the training loss lower?", FIT),
        _quantities(analysis, "noise", "Is the minimum wider? Weights shaken by noise", NOISE),
        _quantities(analysis, "sharp", "Is the minimum flatter? Sharpness and curvature", SHARP),
        _certainty(analysis),
        _peers(analysis),
    ]
    return [table for table in candidates if table.rows]


def about(analysis: Analysis) -> list[str]:
    """What was measured, in sentences."""
    traces = (network.hessian_detail for network in analysis.networks)
    why = next((trace.why for trace in traces if trace and trace.how == "finite differences"), "")
    return sentences("analysis.txt", analysis=analysis, why=why)


def _quantities(analysis: Analysis, key: str, title: str, quantities: Sequence[Quantity]) -> Table:
    """A column for each quantity that was measured; no rows where that is at most the norm of the weights."""
    shown = [q for q in quantities if any(q.name in row.measures for row in analysis.rows)]
    rows = analysis.rows if any(q.name != "weight_norm" for q in shown) else []
    return Table(
        title,
        (Column("Method"), *(Column(q.title) for q in shown)),
        tuple(Row((Cell(row.label), *(_cell(row.measures.get(q.name), q) for q in shown))) for row in rows),
        tuple(read(rows, q) for q in shown if q.words and analysis.baseline is not None),
        tuple(f"{q.title}: {q.about}." for q in shown),
        key,
    )


def _cell(value: Mean | None, quantity: Quantity) -> Cell:
    if value is None:
        return Cell(MISSING)
    return Cell(figure(value.mean, quantity.percent), difference(value, quantity))


def difference(value: Mean, quantity: Quantity) -> str:
    """``−0.012 ± 0.004``: how far from the baseline, and half of the interval."""
    if value.difference is None:
        return ""
    text = ("+" if value.difference > 0 else "") + figure(value.difference, quantity.percent, 2)
    if value.ci95 is None:
        return text
    low, high = value.ci95
    return f"{text} ± {figure((high - low) / 2, quantity.percent, 2)}"


def read(rows: Sequence[MethodMeans], quantity: Quantity) -> str:
    """What the intervals of one measure say: who lies clearly below the baseline, and who above."""
    compared = [
        (row.label, mean) for row in rows if (mean := row.measures.get(quantity.name)) and mean.difference is not None
    ]
    below = [f"{label} ({difference(mean, quantity)})" for label, mean in compared if mean.ci95 and mean.ci95[1] < 0]
    above = [f"{label} ({difference(mean, quantity)})" for label, mean in compared if mean.ci95 and mean.ci95[0] > 0]
    said = [f"{side} alone's with {listed(who)}" for side, who in (("below", below), ("above", above)) if who]
    if not said:
        return f"{quantity.words}: no clear difference from alone with any method."
    rest = ["no clear difference with the others"] if len(below) + len(above) < len(compared) else []
    return f"{quantity.words}: {'; '.join([*said, *rest])}."


def _certainty(analysis: Analysis) -> Table:
    table = _quantities(analysis, "sure", "Are the networks less certain?", SURE)
    ranks = [Cell(_ranks(row.train_top), _ranks(row.test_top)) for row in analysis.rows]
    rows = tuple(Row((*row.cells, cell)) for row, cell in zip(table.rows, ranks, strict=False))
    return replace(table, columns=(*table.columns, Column("Sorted posterior")), rows=rows, notes=(*table.notes, RANKED))


def _ranks(top: Sequence[float]) -> str:
    return "  ".join(f"{p:.3f}" for p in top)


def _peers(analysis: Analysis) -> Table:
    rows = []
    for method in dict.fromkeys(epoch.method for epoch in analysis.peers):
        epochs = [epoch for epoch in analysis.peers if epoch.method == method]
        divergences, agreements = [epoch.divergence for epoch in epochs], [epoch.agreement for epoch in epochs]
        ratios = [None if epoch.ratio is None else 100 * epoch.ratio for epoch in epochs]
        if any(value is not None for value in (*divergences, *ratios)):
            rows.append(
                Row((Cell(analysis.labels.get(method, method)), *map(_course, (divergences, agreements, ratios))))
            )
    notes = (
        "Divergence: mean KL between the posteriors of two peers on training batches, all pairs; nats. Networks "
        "trained alone show what two seeds differ by anyway.",
        "Agreement: share of training samples on which two peers choose the same class.",
        "Imitation/task: all imitation losses of a network together, relative to its task loss.",
    )
    columns = tuple(map(Column, ("Method", "Divergence", "Agreement", "Imitation/task, %")))
    title = "How far do peers differ, from the first epoch to the last?"
    return Table(title, columns, tuple(rows), (), notes, "peers")


def _course(values: Sequence[float | None]) -> Cell:
    """First and last of the known values, and their mean."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return Cell(MISSING)
    return Cell(f"{figure(numbers[0])} → {figure(numbers[-1])}", f"mean {figure(fmean(numbers))}")
