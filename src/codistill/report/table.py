"""A table of a report, and how it is printed in a terminal; `page` and `markdown` show the same tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from codistill.report.numbers import wrapped

WIDTH, LEAST = 12, 10  # of the first column, where numbers need the room, and in any case
_COLOURS = {"gain": "bold green", "loss": "bold red"}


@dataclass(frozen=True)
class Column:
    """A title and what qualifies it, shorter for the terminal where that is given.

    What stands `aside` is in a second table there, below the first, so that both fit.
    """

    title: str
    detail: str = ""
    short: str = ""
    short_detail: str = ""
    aside: bool = False


@dataclass(frozen=True)
class Cell:
    """A value and, below it, what qualifies it."""

    main: str
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """Cells in the order of the columns; of a compared method the kind of its verdict and the verdict in words."""

    cells: tuple[Cell, ...]
    kind: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: what it shows.
        columns: the first is of names.
        rows: in order.
        sentences: what it says, above it.
        notes: what its columns mean, below it.
        key: for the page: of its section.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sentences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    key: str = ""


def terminal(table: Table, width: int | None = None) -> Group:
    """The table for the terminal, with its verdicts or sentences and its notes below. No value is broken.

    Args:
        table: it.
        width: of the terminal; columns for which it has no room are in further tables below, as those that stand aside
            are. None: enough for all columns once names are broken early.
    """
    numbers = range(1, len(table.columns))
    main, aside = ([n for n in numbers if table.columns[n].aside is there] for there in (False, True))
    names = [row.cells[0].main for row in table.rows]
    if width is None or _width(table, main, names) > width:
        names = ["\n".join(wrapped(name, WIDTH)) for name in names]
    groups = [group for each in (main, aside) for group in _that_fit(table, each, names, width)] or [[]]
    printed = [_printed(table, group, names, width) for group in groups]
    printed[0].title = Text(table.title, style="bold")
    below = Text("\n".join([*_below(table), *table.notes]))
    return Group(printed[0], *(part for each in printed[1:] for part in ("", each)), *([below] if below else []))


def _that_fit(table: Table, numbers: Sequence[int], names: Sequence[str], width: int | None) -> list[list[int]]:
    """Columns in groups that the width has room for beside the names, at least one in each."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and (width is None or _width(table, [*groups[-1], number], names) <= width):
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _width(table: Table, numbers: Sequence[int], names: Sequence[str]) -> int:
    """Of these columns beside the names, with a space after each and another between two."""
    heads = [str(_head(column)) for column in table.columns]
    texts = [[heads[n], *(str(_text(row.cells[n], row.kind)) for row in table.rows)] for n in numbers]
    return max(LEAST, _widest([heads[0], *names])) + 1 + sum(_widest(each) + 2 for each in texts)


def _widest(texts: Sequence[str]) -> int:
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def _printed(table: Table, numbers: Sequence[int], names: Sequence[str], width: int | None) -> RichTable:
    """Some of a table's columns, beside the names."""
    printed = RichTable(
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    fits = width is None or _width(table, numbers, names) <= width
    printed.add_column(_head(table.columns[0]), overflow="fold", min_width=LEAST)
    for number in numbers:
        printed.add_column(_head(table.columns[number]), justify="right", no_wrap=fits, overflow="fold")
    for name, row in zip(names, table.rows, strict=True):
        printed.add_row(Text(name), *(_text(row.cells[number], row.kind) for number in numbers))
    return printed


def _head(column: Column) -> Text:
    return Text(f"{column.short or column.title}\n{column.short_detail}".rstrip())


def _text(cell: Cell, kind: str) -> Text:
    style = _COLOURS.get(kind, "") if "n=" in cell.main else ""
    text = Text(cell.main, style=style)
    return text.append(f"\n{cell.detail}", style="not bold dim") if cell.detail else text


def _below(table: Table) -> list[str]:
    if not any(row.verdict for row in table.rows):
        return list(table.sentences)
    judged = [(row.cells[0].main, row.verdict) for row in table.rows if row.kind != "baseline"]
    said = [f"{name} – {verdict[0].lower()}{verdict[1:]}" for name, verdict in judged]
    return ["", *said, ""] if said else [""]
