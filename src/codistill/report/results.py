"""The results of one run, network by network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from codistill.report.measures import RETRIEVAL, SEVERAL_LABELS, measure_of_results
from codistill.report.numbers import decimal, percent, wrapped
from codistill.study.results import Pairs, Result

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


@dataclass(frozen=True)
class Change:
    """What `codistill.training.evaluate.changes` gives of one network: shares of its predictions that change."""

    run: str
    against: str
    part: str
    n: int
    peer: int
    changed: float
    lost: float
    gained: float


def results_table(results: Sequence[Result]) -> Table:
    """One line per network, and the ensemble of all of them; below, how similar they are.

    Not every measure: ``results.jsonl`` has them all.
    """
    measure = measure_of_results(results)
    single = [result for result in results if result.networks is not None]
    runs = {_run(result) for result in single}
    titles = SEARCH if measure is RETRIEVAL else LABELS if measure is SEVERAL_LABELS else CLASSES
    columns = {key: title for key, title in titles.items() if any(key in result.line for result in single)}
    first = ("run", "network") if len(runs) > 1 else ("network",)
    table = _table((*first, *columns.values()), "run")
    if results:
        table.title = f"{results[0].part} part, {results[0].n} {measure.examples}"
        if len(runs) == 1:
            table.title = f"{runs.pop()}: {table.title}"
        table.caption = _similarity(results)
    for result in single:
        if result.peer is None and result.networks != result.peers:
            continue
        who = f"ensemble of {result.networks}" if result.peer is None else f"network {result.peer}"
        values = [(percent if title[-1] == "%" else decimal)(result.get(key)) for key, title in columns.items()]
        table.add_row(*(["\n".join(wrapped(_run(result), WIDTH))] if len(first) > 1 else []), who, *values)
    return table


def changes_table(changes: Sequence[Change], before: str, after: str) -> Table:
    """One line per network: how many of its predictions differ from those of another run.

    Args:
        changes: of each network.
        before: what the first run is called.
        after: what the one is called that takes its place.
    """
    table = _table(("network", "of", "changed %", "now wrong %", "now right %"), "of")
    if changes:
        table.title = f"{changes[0].part} part, {changes[0].n} examples: from {before} to {after}"
    for change in changes:
        runs = change.run if change.run == change.against else f"{change.run}, {change.against}"
        table.add_row(str(change.peer), runs, *map(percent, (change.changed, change.lost, change.gained)))
    return table


def pairs_of(results: Iterable[Result]) -> dict[str, Pairs]:
    """Of each row of a study, or method, how similar two networks of a cohort are; none where none were compared."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.entry, []).append(result)
    return {entry: pairs for entry, group in groups.items() if (pairs := Pairs.of(group)) is not None}


def _table(titles: Sequence[str], long: str) -> Table:
    """An empty table; its first columns, up to the one of long names or of networks, are text."""
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left", caption_justify="left")
    for title in titles:
        text = title in ("run", "network", "of")
        table.add_column(title, justify="left" if text else "right", no_wrap=title != long, overflow="fold")
    return table


def _run(result: Result) -> str:
    return f"{result.method}, seed {result.seed}"


def _similarity(results: Sequence[Result]) -> Text | None:
    said = [
        f"{method}: two networks agree on {percent(pairs.agreement)} %, error correlation "
        f"{decimal(pairs.error_correlation, 2)}, JS {decimal(pairs.js)} nats"
        for method, pairs in pairs_of(results).items()
    ]
    return Text("\n".join(said), style="not italic") if said else None
