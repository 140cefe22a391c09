"""The results table as Markdown, for a repository or a paper's draft."""

from typing import Any

from codistill.report.measures import measure_of
from codistill.report.rows import Cell, columns, footnotes, lines
from codistill.report.verdict import headline


def markdown(summary: dict[str, Any]) -> str:
    """Headline, table, footnotes, and the command that made them."""
    heads = [" ".join(filter(None, (c.long, c.long_detail))) for c in columns(summary)] + ["Verdict"]
    rows = [
        [f"{line.cells[0].main} `{line.method}`", *map(_cell, line.cells[1:]), line.verdict] for line in lines(summary)
    ]
    table = [heads, ["---", *["---:"] * (len(heads) - 2), "---"], *rows]
    text = ["| " + " | ".join(row) + " |" for row in table]
    made = [f"Made by `{summary['command']}`"] if summary.get("command") else []
    versions = ", ".join(f"{name} {version}" for name, version in (summary.get("versions") or {}).items())
    last = [f"{' with '.join([*made, *([versions] if versions else [])])}."] if made or versions else []
    return "\n".join(
        [" ".join(headline(summary)), "", *text, "", *(f"- {n}" for n in footnotes(summary)), "", *last, ""]
    )


def short(summary: dict[str, Any]) -> str:
    """A smaller table for a README: what is measured, gain, ensemble, and the time of the whole cohort."""
    kept = ("Method", measure_of(summary).short, "Gain, points", "Ens. %", "Rank-1%", "Time")
    wanted = [c for c in columns(summary) if c.short in kept]
    places = [columns(summary).index(column) for column in wanted]
    heads = [" ".join(filter(None, (c.long, c.long_detail))) for c in wanted]
    rows = [[_cell(line.cells[i]) if i else line.cells[0].main for i in places] for line in lines(summary)]
    table = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def _cell(cell: Cell) -> str:
    return f"{cell.main} {cell.detail}".strip()
