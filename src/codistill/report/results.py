"""The results of one run, network by network."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from codistill import metrics
from codistill.metrics.pairs import off_diagonal_mean
from codistill.report.measures import OPEN_SET, SEVERAL_LABELS, Measure, measure_of_results
from codistill.report.numbers import decimal, percent
from codistill.report.wrap import wrapped
from codistill.training.evaluate import Change

WIDTH = 20  # of the column of runs


def results_table(rows: Sequence[dict[str, Any]]) -> Table:
    """One line per network, and the ensemble of all of them; below, how alike they are.

    Not every measure: ``results.jsonl`` has them all.
    """
    measure = measure_of_results(rows)
    single = [row for row in rows if row.get("kind") != "pairs"]
    runs = {_run(row) for row in single}
    columns = {key: title for key, title in _columns(measure).items() if any(key in row for row in single)}
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left", caption_justify="left")
    if rows:
        table.title = f"{rows[0]['part']} part, {rows[0]['n']} {measure.examples}"
        if len(runs) == 1:
            table.title = f"{runs.pop()}: {table.title}"
        table.caption = _below(rows)
    first = ("run", "network") if len(runs) > 1 else ("network",)
    for name in (*first, *columns.values()):
        table.add_column(name, justify="left" if name in first else "right", no_wrap=name != "run", overflow="fold")
    for row in single:
        if row["peer"] is None and row["networks"] != row["peers"]:
            continue
        who = f"ensemble of {row['networks']}" if row["peer"] is None else f"network {row['peer']}"
        values = [(percent if title[-1] == "%" else decimal)(row.get(key)) for key, title in columns.items()]
        run = ["\n".join(wrapped(_run(row), WIDTH))] if len(runs) > 1 else []
        table.add_row(*run, who, *values)
    return table


def _run(row: dict[str, Any]) -> str:
    return f"{row['method']}, seed {row['seed']}"


def changes_table(rows: Sequence[Change], before: str, after: str) -> Table:
    """One line per network: how many of its predictions are others than those of another run.

    Args:
        rows: of `codistill.training.evaluate.changes`.
        before: what the first run is called.
        after: what the one is called that takes its place.
    """
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left", caption_justify="left")
    if rows:
        table.title = f"{rows[0].part} part, {rows[0].n} examples: from {before} to {after}"
    for name in ("network", "of", "changed %", "now wrong %", "now right %"):
        table.add_column(name, justify="right" if name[-1] == "%" else "left", overflow="fold")
    for row in rows:
        values = [percent(share) for share in (row.changed, row.lost, row.gained)]
        of = row.run if row.run == row.against else f"{row.run}, {row.against}"
        table.add_row(str(row.peer), of, *values)
    return table


def _columns(measure: Measure) -> dict[str, str]:
    table = "retrieval" if measure is OPEN_SET else "labels" if measure is SEVERAL_LABELS else "classes"
    return {m.key: f"{m.title} %" if m.unit == "fraction" else m.title for m in metrics.columns(table)}


def _below(rows: Sequence[dict[str, Any]]) -> Text | None:
    said = [
        f"{method}: two networks agree on {percent(means['agreement'])} %, error correlation "
        f"{decimal(means['error_correlation'], 2)}, JS {decimal(means['js'])} nats"
        for method, means in alike(rows).items()
    ]
    return Text("\n".join(said), style="not italic") if said else None


def alike(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Of each method, how much two networks of a cohort have in common: means over pairs and seeds.

    Of results without rows of pairs, nothing.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row.get("kind") == "pairs":
            found.setdefault(str(row.get("entry", row["method"])), []).append(row)
    return {
        method: {
            m.key: off_diagonal_mean(row[m.key] for row in group if m.key in row)
            for m in metrics.computed_from("pairs")
        }
        for method, group in found.items()
    }
