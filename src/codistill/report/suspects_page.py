"""What peers dispute, as a CSV file and as a page with the images or the texts."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from codistill import files
from codistill.analysis.suspects import Suspects
from codistill.data.shown import png_address
from codistill.report.numbers import percent
from codistill.report.page import Section, records_table, write_page
from codistill.report.sheet import sheet

TITLE = "Labels that all peers dispute"
LINES = 10  # in a terminal
ROWS = 200  # of the page's table; the CSV file has all
EMPTY = ("text", "changed")  # columns that are left out where they say nothing


def write_suspects(every: Sequence[Suspects], folder: Path, command: str = "") -> tuple[Path, Path]:
    """Write ``suspects.csv`` and ``suspects.html`` into a folder; their paths."""
    table, page = folder / "suspects.csv", folder / "suspects.html"
    rows = [{"run": each.run.name, **row} for each in every for row in records(each)]
    columns = list(dict.fromkeys(name for row in rows for name in row)) or ["run", "rank", "index", "label"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    files.write(table, text.getvalue())
    sections = [
        Section(
            each.run.name,
            f"run{number}",
            paragraphs=[said(each)],
            picture=_sheet(each),
            table=records_table("The first ones" if len(each.found) > ROWS else "All of them", records(each)[:ROWS]),
        )
        for number, each in enumerate(every)
    ]
    lead = [
        "Training examples for which every peer prefers another class to the label, the most confident first.",
        "A label that all peers reject is often wrong, but some are right and merely hard: look before changing one.",
    ]
    write_page(page, TITLE, lead, [*sections, Section("Command", command=command)])
    return table, page


def records(each: Suspects) -> list[dict[str, object]]:
    """Of every suspect what its fields say, those left out that say nothing."""
    rows = [asdict(suspect) for suspect in each.found]
    empty = [name for name in EMPTY if all(row[name] in ("", None) for row in rows)]
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]


def said(each: Suspects) -> str:
    """How many there are, and how many of them noise has changed, in a sentence."""
    text = f"{each.run.name}: all {each.run.peers} peers dispute {len(each.found)} of {each.examples} labels"
    if each.run.peers == 1:
        text = f"{each.run.name}: its network disputes {len(each.found)} of {each.examples} labels"
    if each.precision is None:
        return text + "."
    return text + f"; noise has changed {percent(each.precision)} % of these, and {percent(each.noisy)} % of all."


def suspects_table(each: Suspects) -> Table:
    """The first ones, for a terminal."""
    table = Table("rank", "index", "label", "peers say", "margin", *(["text"] if each.images is None else []))
    for one in each.found[:LINES]:
        text = [one.text[:60]] if each.images is None else []
        table.add_row(str(one.rank), str(one.index), one.label, one.predicted, f"{one.margin:.2f}", *text)
    return table


def _sheet(each: Suspects) -> str:
    """The images, each with its label and what is predicted instead, as an SVG; empty where there are none."""
    images = each.images if each.images is not None else ()
    return sheet(
        [(png_address(image), one.label, one.predicted) for image, one in zip(images, each.found, strict=False)],
        "Images whose labels all peers dispute; the table below has them in this order",
    )


__all__ = ["records", "said", "suspects_table", "write_suspects"]
