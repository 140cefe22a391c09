"""What there is, as `codistill list` prints it: from a file beside this one, so that nobody waits for torch.

The file is made by ``python -m codistill.cli.docs listing``, and a test holds it against the package. Where the package
has other names than the file, as while one is being added, the objects themselves are asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from codistill import discovery, files

FILE = Path(__file__).with_name("listing.json")
FOLDERS = {kind: f"codistill.{kind}" for kind in ("methods", "models", "data", "recipes", "schedules")} | {
    "divergences": "codistill.losses.divergences",
    "graphs": "codistill.graph",
    "targets": "codistill.losses.targets",
    "selections": "codistill.losses.selections",
    "augmentations": "codistill.data.augmentations",
    "shards": "codistill.data.shards",
    "noise": "codistill.data.noise",
}
CLASSES = (10, 100)  # that networks are counted for


@dataclass(frozen=True)
class Entry:
    """Something that a setting may name.

    Attributes:
        name: as it is typed.
        summary: the first line of its docstring.
        options: with their defaults.
        numbers: of a network's parameters, for each of `CLASSES`.
        facts: titles and what they say; what has no title is an equation or a command.
    """

    name: str
    summary: str
    options: str = ""
    numbers: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


def listing(what: str) -> Table:
    """The names in a folder, each with its options, their defaults and what it is."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    every = kept(what)
    if every is None:
        from codistill.cli.inventory import entries

        every = entries(what)
    fill = {"methods": _described, "recipes": _recipes, "models": _models}.get(what, _named)
    fill(table, every)
    return table


def kept(what: str) -> tuple[Entry, ...] | None:
    """What the file says; None where the package holds other names."""
    rows = (files.read_if_whole(FILE) or {}).get(what, [])
    every = tuple(
        Entry(r["name"], r["summary"], r["options"], tuple(r["numbers"]), tuple((t, said) for t, said in r["facts"]))
        for r in rows
    )
    return every if [entry.name for entry in every] == discovery.available(FOLDERS[what]) else None


def _named(table: Table, every: Sequence[Entry]) -> None:
    for title in ("name", "options", ""):
        table.add_column(title)
    for entry in every:
        table.add_row(Text(entry.name), Text(entry.options), Text(entry.summary))


def _described(table: Table, every: Sequence[Entry]) -> None:
    table.show_header = False
    for entry in every:
        table.add_row(Text(entry.name, style="bold"), Text(entry.summary))
        for title, text in entry.facts:
            table.add_row("", Text.assemble((f"{title}: ", "dim"), text) if title else Text(text, style="cyan"))
        table.add_row("", "")


def _recipes(table: Table, every: Sequence[Entry]) -> None:
    _described(table, every)
    table.add_row("", Text("[read]: seen in a primary source; [read2]: second hand", style="dim"))


def _models(table: Table, every: Sequence[Entry]) -> None:
    table.title, table.title_justify, table.title_style = "Numbers of parameters", "left", "dim"
    table.add_column("name", no_wrap=True)
    for classes in CLASSES:
        table.add_column(f"{classes} classes", justify="right", no_wrap=True)
    table.add_column("")
    for entry in every:
        lines = [entry.summary, *(f"{title}: {text}" for title, text in entry.facts)]
        numbers = entry.numbers or [""] * len(CLASSES)
        table.add_row(Text(entry.name, style="bold"), *numbers, Text("\n".join(lines)))
