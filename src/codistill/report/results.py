"""The results of one run, network by network."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from codistill import metrics
from codistill.models import network_name
from codistill.report.measures import RETRIEVAL, SEVERAL_LABELS, measure_of_results
from codistill.report.numbers import decimal, figure, listed, percent, wrapped
from codistill.study.results import Pairs, Result, measured, row_of
from codistill.training.evaluate import Change
from codistill.training.results import NetworkResult

WIDTH = 26  # of the column of networks
MCNEMAR = (
    "p: exact McNemar test of “now wrong” against “now right”, for other examples and these two networks; it says "
    "nothing about other trainings of their methods."
)


def results_table(results: Sequence[Result], width: int = 80) -> Table:
    """One line per network, and the ensemble of all of them; below, how similar they are.

    Not every measure: ``results.jsonl`` has them all. Where there are several runs, a line of its own names each.

    Args:
        results: of a run, or of several.
        width: of the terminal; the last columns are left out where it is too narrow for them.
    """
    measure, rows = measure_of_results(results), [r for r in measured(results) if r.peer is not None or _is_whole(r)]
    runs = list(dict.fromkeys(map(_run, rows)))
    kind = "retrieval" if measure is RETRIEVAL else "labels" if measure is SEVERAL_LABELS else "classes"
    columns = [metric for metric in metrics.columns(kind) if any(metric.key in result.values for result in rows)]
    names = [_broken(_network(result)) for result in rows]
    headings = {run: _broken(run) for run in (runs if len(runs) > 1 else ())}
    widest = max((len(line) for name in [*names, *headings.values()] for line in name), default=0)
    shown = _that_fit(columns, width - widest)
    table = _table(("network", *map(_head, shown)), "network")
    if results:
        table.title = f"{results[0].part} part, {results[0].n} {measure.examples}"
        if len(runs) == 1:
            table.title = f"{runs[0]}: {table.title}"
        table.caption = _similarity(results, columns[len(shown) :])
    for result, name in zip(rows, names, strict=True):
        if heading := headings.pop(_run(result), None):
            table.add_row(Text("\n".join(heading), style="bold"))
        values = [(percent if m.unit == "fraction" else decimal)(result.values.get(m.key)) for m in shown]
        table.add_row("\n".join(name), *values)
    return table


def _is_whole(result: NetworkResult) -> bool:
    """Whether an ensemble is that of all networks of its run."""
    return result.networks == result.peers


def _head(metric: metrics.Metric) -> str:
    return f"{metric.title} %" if metric.unit == "fraction" else metric.title


def _that_fit(columns: Sequence[metrics.Metric], room: int) -> list[metrics.Metric]:
    """The first columns, as many as there is room for, but at least one."""
    widths = [2 + max(len(_head(column)), len("−0.000")) for column in columns]
    fit = sum(sum(widths[: number + 1]) <= room for number in range(len(columns)))
    return list(columns[: max(fit, 1)])


def _broken(name: str) -> list[str]:
    """A name in lines that leave the numbers their room."""
    lines = [line[at : at + WIDTH] for line in wrapped(name, WIDTH) for at in range(0, max(len(line), 1), WIDTH)]
    return lines


def changes_table(changes: Sequence[Change], before: str, after: str) -> Table:
    """One line per network: how many of its predictions differ from those of another run.

    Args:
        changes: of each network.
        before: what the first run is called.
        after: what the one is called that takes its place.
    """
    table = _table(("network", "of", "changed %", "now wrong %", "now right %", "p"), "of")
    if any(change.p is not None for change in changes):
        table.caption = Text(MCNEMAR, style="not italic")
    if changes:
        table.title = f"{changes[0].part} part, {changes[0].n} examples: from {before} to {after}"
    for change in changes:
        runs = change.run if change.run == change.against else f"{change.run}, {change.against}"
        shares = map(percent, (change.changed, change.lost, change.gained))
        table.add_row(str(change.peer), runs, *shares, figure(change.p))
    return table


def pairs_of(results: Iterable[Result]) -> dict[str, Pairs]:
    """Of each row of a study, or method, how similar two networks of a cohort are; none where none were compared."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(row_of(result), []).append(result)
    return {entry: pairs for entry, group in groups.items() if (pairs := Pairs.of(group)) is not None}


def _table(titles: Sequence[str], long: str) -> Table:
    """An empty table; its first columns, up to the one of long names or of networks, are text."""
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left", caption_justify="left")
    for title in titles:
        text = title in ("run", "network", "of")
        table.add_column(title, justify="left" if text else "right", no_wrap=title != long, overflow="fold")
    return table


def _run(result: NetworkResult) -> str:
    return f"{result.method}, seed {result.seed}"


def _network(result: NetworkResult) -> str:
    """A network by its number and its model: ``network 0 (resnet20)``; an ensemble by how many it is of."""
    if result.peer is None:
        return f"ensemble of {result.networks}"
    return f"network {result.peer}" + (f" ({network_name(result.model)})" if result.model else "")


def _similarity(results: Sequence[Result], left_out: Sequence[metrics.Metric]) -> Text | None:
    said = [
        f"{method}: two networks agree on {percent(pairs.agreement)} %, error correlation "
        f"{decimal(pairs.error_correlation, 2)}, JS {decimal(pairs.js)} nats"
        for method, pairs in pairs_of(results).items()
    ]
    if left_out:
        said.append(f"No room for {listed([column.title for column in left_out])}: the report has all.")
    return Text("\n".join(said), style="not italic") if said else None
