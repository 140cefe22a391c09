"""The results table, in the manner of the DML paper's: for the terminal and as HTML."""

from html import escape
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from codistill.report.measures import measure_of
from codistill.report.numbers import count
from codistill.report.rows import Cell, Line, columns, footnotes, lines
from codistill.report.wrap import wrapped

WIDTH = 12  # of the first column, in 80
_COLOURS = {"gain": "bold green", "loss": "bold red"}


def rich_table(summary: dict[str, Any]) -> Table:
    """The table of a summary for the terminal, 80 columns or more, with verdicts and footnotes below."""
    heads, rows = columns(summary), lines(summary)
    table = Table(
        title=Text(_title(summary), style="bold"),
        title_justify="left",
        caption=_below(rows, summary),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        row_styles=[""],
    )
    for place, head in enumerate(heads):
        title = Text(f"{head.short}\n{head.short_detail}".rstrip())
        table.add_column(
            title,
            justify="left" if place == 0 else "right",
            no_wrap=place > 0,
            overflow="fold",
            min_width=10 if not place else None,
        )
    for row in rows:
        first, *rest = row.cells
        table.add_row(Text("\n".join(wrapped(first.main, WIDTH))), *(_text(cell, row.kind) for cell in rest))
    return table


def _text(cell: Cell, kind: str) -> Text:
    style = _COLOURS.get(kind, "") if "n=" in cell.main else ""
    text = Text(cell.main, style=style)
    return text.append(f"\n{cell.detail}", style="not bold dim") if cell.detail else text


def _below(rows: list[Line], summary: dict[str, Any]) -> Text:
    said = [
        f"{row.cells[0].main} – {row.verdict[0].lower()}{row.verdict[1:]}" for row in rows if row.kind != "baseline"
    ]
    return Text("\n".join(["", *said, *[""][: len(said)], *footnotes(summary)]), style="not italic")


def _title(summary: dict[str, Any]) -> str:
    seeds = count(len(summary.get("seeds") or ()), "seed")
    return f"{summary.get('recipe') or 'study'}: test {measure_of(summary).name}, {seeds}"


def html_table(summary: dict[str, Any]) -> str:
    """The same rows as a ``<table>``, each with its verdict, and the footnotes as a list."""
    heads = [f'<th scope="col">{escape(h.long)}{_small(escape(h.long_detail))}</th>' for h in columns(summary)]
    body = "\n".join(_html_line(row, summary) for row in lines(summary))
    notes = "\n".join(f"<li>{escape(note)}</li>" for note in footnotes(summary))
    return (
        f'<table class="results"><caption>{escape(_title(summary))}</caption>\n'
        f'<thead><tr>{"".join(heads)}<th scope="col">Verdict</th></tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>\n"
        f'<ul class="footnotes">\n{notes}\n</ul>'
    )


def _small(html: str) -> str:
    return f"<small>{html}</small>" if html else ""


def _html_line(row: Line, summary: dict[str, Any]) -> str:
    first, *rest = row.cells
    heads = columns(summary)[1:]
    cells = [f'<th scope="row">{escape(first.main)}<small><code>{escape(first.detail)}</code></small></th>']
    for head, cell in zip(heads, rest, strict=True):
        label = escape(f"{head.long}\n{head.long_detail}".strip()).replace("\n", "&#10;")
        cells.append(f'<td data-label="{label}"><span>{escape(cell.main)}{_small(escape(cell.detail))}</span></td>')
    word, _, why = row.verdict.partition(":")
    said = f"<b>{escape(word)}</b>{':' + escape(why) if why else ''}"
    cells.append(f'<td class="verdict" data-label="Verdict"><span>{said}</span></td>')
    return f'<tr class="{row.kind}">{"".join(cells)}</tr>'
