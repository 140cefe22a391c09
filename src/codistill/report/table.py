"""A table of a report, and how it is printed in a terminal; `page` and `markdown` show the same tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, OverflowMethod
from rich.table import Table as RichTable
from rich.text import Text

from codistill.report.numbers import wrapped

WIDTH = 12  # of the first column, where numbers need the room
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


def terminal(table: Table, narrow: bool = False) -> Group:
    """The table for the terminal, with its verdicts or sentences and its notes below.

    Args:
        table: it.
        narrow: break names early so that numbers fit into 80 columns.
    """
    main = [number for number, column in enumerate(table.columns) if not column.aside]
    aside = [0, *(number for number, column in enumerate(table.columns) if column.aside)]
    printed = [_printed(table, main, narrow), *([_printed(table, aside, narrow)] if aside[1:] else [])]
    printed[0].title = Text(table.title, style="bold")
    below = Text("\n".join([*_below(table), *table.notes]))
    return Group(printed[0], *(part for each in printed[1:] for part in ("", each)), *([below] if below else []))


def _printed(table: Table, numbers: Sequence[int], narrow: bool) -> RichTable:
    """Some of a table's columns; the first is of names."""
    printed = RichTable(
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    names, *heads = (table.columns[number] for number in numbers)
    overflow: OverflowMethod = "fold" if narrow else "ellipsis"
    printed.add_column(_head(names), overflow=overflow, min_width=10 if narrow else 14)
    for column in heads:
        width = None if narrow else 10
        printed.add_column(_head(column), justify="right", no_wrap=narrow, overflow=overflow, min_width=width)
    for row in table.rows:
        name = row.cells[0].main
        first = Text("\n".join(wrapped(name, WIDTH)) if narrow else name)
        printed.add_row(first, *(_text(row.cells[number], row.kind) for number in numbers[1:]))
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
