"""The results table as Markdown, for a repository or a paper's draft."""

from collections.abc import Sequence

from codistill.report.comparison import comparison
from codistill.report.table import Cell, Column, Table
from codistill.report.verdict import headline
from codistill.study.summary import Summary


def markdown(summary: Summary) -> str:
    """Headline, warnings, table, footnotes, and the command that made them."""
    table = comparison(summary)
    rows = [[f"{r.cells[0].main} `{r.cells[0].detail}`", *map(_cell, r.cells[1:]), r.verdict] for r in table.rows]
    made = [f"Made by `{summary.command}`"] if summary.command else []
    versions = ", ".join(f"{name} {version}" for name, version in summary.versions.items())
    last = [f"{' with '.join([*made, *([versions] if versions else [])])}."] if made or versions else []
    lines = _table([*map(_head, table.columns), "Verdict"], rows, "---")
    doubts = [line for doubt in summary.doubts for line in (f"**Warning:** {doubt}.", "")]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([" ".join(headline(summary)), "", *doubts, *lines, "", *notes, "", *last, ""])


def small(table: Table) -> str:
    """A table as it is, for a README."""
    rows = [[_cell(cell) for cell in row.cells] for row in table.rows]
    return "\n".join(_table(list(map(_head, table.columns)), rows, "---:"))


def _table(heads: list[str], rows: Sequence[list[str]], last: str) -> list[str]:
    """The lines of a table; ``last`` says how its last column is aligned."""
    marks = ["---", *["---:"] * (len(heads) - 2), last]
    return ["| " + " | ".join(row) + " |" for row in (heads, marks, *rows)]


def _head(column: Column) -> str:
    return f"{column.title} {column.detail}".replace("\n", " ").strip()


def _cell(cell: Cell) -> str:
    return f"{cell.main} {cell.detail}".replace("\n", " ").strip()
