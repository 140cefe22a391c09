"""The results table as Markdown, for a repository or a paper's draft."""

from collections.abc import Sequence

from codistill.report.comparison import comparison
from codistill.report.table import Cell, Column
from codistill.report.verdict import headline
from codistill.study.summary import Summary

KEPT = ("Method", "Acc. %", "mAP %", "Gain, points", "Ens. %", "Rank-1%", "Churn, %", "Time")  # in a small table


def markdown(summary: Summary) -> str:
    """Headline, table, footnotes, and the command that made them."""
    table = comparison(summary)
    rows = [[f"{r.cells[0].main} `{r.cells[0].detail}`", *map(_cell, r.cells[1:]), r.verdict] for r in table.rows]
    made = [f"Made by `{summary.command}`"] if summary.command else []
    versions = ", ".join(f"{name} {version}" for name, version in summary.versions.items())
    last = [f"{' with '.join([*made, *([versions] if versions else [])])}."] if made or versions else []
    lines = _table([*map(_head, table.columns), "Verdict"], rows, "---")
    return "\n".join([" ".join(headline(summary)), "", *lines, "", *(f"- {n}" for n in table.notes), "", *last, ""])


def short(summary: Summary) -> str:
    """A smaller table for a README: what is measured, gain, ensemble, and the time of the whole cohort."""
    table = comparison(summary)
    kept = [i for i, column in enumerate(table.columns) if (column.short or column.title) in KEPT]
    rows = [[_cell(row.cells[i]) if i else row.cells[0].main for i in kept] for row in table.rows]
    return "\n".join(_table([_head(table.columns[i]) for i in kept], rows, "---:"))


def _table(heads: list[str], rows: Sequence[list[str]], last: str) -> list[str]:
    """The lines of a table; ``last`` says how its last column is aligned."""
    marks = ["---", *["---:"] * (len(heads) - 2), last]
    return ["| " + " | ".join(row) + " |" for row in (heads, marks, *rows)]


def _head(column: Column) -> str:
    return f"{column.title} {column.detail}".replace("\n", " ").strip()


def _cell(cell: Cell) -> str:
    return f"{cell.main} {cell.detail}".replace("\n", " ").strip()
