"""The tables of an analysis for the terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from codistill.report.analysis import Shown, about, tables


def print_analysis(analysis: dict[str, Any], console: Console) -> None:
    """What was looked at, then table by table what the intervals say and what the numbers are."""
    for sentence in about(analysis):
        console.print(Text(sentence))
    for shown in tables(analysis):
        console.print()
        console.print(_table(shown))
    if analysis["findings"]:
        console.print(Text("\nIs the mimic term doing anything?", style="bold"))
        for one in analysis["findings"]:
            console.print(Text(one["sentence"], style="yellow" if one["warning"] else ""))


def _table(shown: Shown) -> Table:
    table = Table(
        title=Text(shown.title, style="bold"),
        title_justify="left",
        caption=Text("\n".join([*shown.read, *shown.notes]), style="not italic"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for place, head in enumerate(shown.heads):
        table.add_column(Text(head), justify="right" if place else "left", min_width=10 if place else 14)
    for row in shown.rows:
        table.add_row(*(Text(a).append(f"\n{b}" if b else "", style="dim") for a, b in row))
    return table


__all__ = ["print_analysis"]
