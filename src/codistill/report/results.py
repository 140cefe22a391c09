"""The results of one run, network by network."""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from rich.table import Table
from rich.text import Text

from codistill.report.measures import OPEN_SET, SEVERAL_LABELS, Measure, measure_of_results
from codistill.report.numbers import decimal, known, percent
from codistill.report.wrap import wrapped

WIDTH = 20  # of the column of runs

CLASSES = {"accuracy": "accuracy %", "top5": "top-5 %", "f1": "F1 %", "nll": "NLL", "ece": "ECE %", "brier": "Brier"}
CLASSES |= {"entropy": "entropy"}
LABELS = {"map": "mAP %", "f1_macro": "F1 macro %", "f1_micro": "F1 micro %", "nll": "NLL", "ece": "ECE %"}
SEARCH = {
    "map": "mAP %",
    "cmc1": "rank-1 %",
    "cmc5": "rank-5 %",
    "cmc10": "rank-10 %",
    "map_multi": "multi-query mAP %",
}


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


def changes_table(rows: Sequence[dict[str, Any]], before: str, after: str) -> Table:
    """One line per network: how many of its predictions are others than those of another run.

    Args:
        rows: of `codistill.training.evaluate.changes`.
        before: what the first run is called.
        after: what the one is called that takes its place.
    """
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left", caption_justify="left")
    if rows:
        table.title = f"{rows[0]['part']} part, {rows[0]['n']} examples: from {before} to {after}"
    for name in ("network", "of", "changed %", "now wrong %", "now right %"):
        table.add_column(name, justify="right" if name[-1] == "%" else "left", overflow="fold")
    for row in rows:
        values = [percent(row[name]) for name in ("changed", "lost", "gained")]
        of = row["run"] if row["run"] == row["against"] else f"{row['run']}, {row['against']}"
        table.add_row(str(row["peer"]), of, *values)
    return table


def _columns(measure: Measure) -> dict[str, str]:
    return SEARCH if measure is OPEN_SET else LABELS if measure is SEVERAL_LABELS else CLASSES


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
        method: {name: _apart([row[name] for row in group]) for name in ("agreement", "error_correlation", "kl", "js")}
        for method, group in found.items()
    }


def _apart(matrices: Iterable[Sequence[Sequence[float | None]]]) -> float | None:
    """The mean off the diagonals; None where no value is known."""
    values = [v for m in matrices for i, row in enumerate(m) for j, v in enumerate(row) if i != j and known(v)]
    return fmean(v for v in values if v is not None) if values else None
