"""One self-contained page: it loads nothing, and a policy in it forbids it to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from codistill import files
from codistill.analysis.judge import Finding
from codistill.report.numbers import decimal
from codistill.report.plots.drawing import Plot, on_page
from codistill.report.prose import environment, plain
from codistill.report.table import Cell, Column, Row, Table

_PLAIN = "/ :;,=()[]{}@&?!'*+$<>\n"  # of an address these need no escape; a quotation mark, # and % do


@dataclass(frozen=True)
class Figure:
    """A figure with its title and caption."""

    title: str
    caption: str
    plot: Plot

    @property
    def name(self) -> str:
        """Of its files."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @cached_property
    def svg(self) -> str:
        """As a file."""
        return self.plot.svg

    def shown(self, key: str) -> str:
        """As a part of a page, where it has this key."""
        return on_page(self.svg, key, self.title, self.plot.says)

    @property
    def downloads(self) -> list[tuple[str, str]]:
        """The name and the address of each of its files; a page holds them itself."""
        svg, numbers = quote(self.svg, safe=_PLAIN), quote(self.plot.csv, safe=_PLAIN)
        return [
            (f"{self.name}.svg", f"data:image/svg+xml;charset=utf-8,{svg}"),
            (f"{self.name}.csv", f"data:text/csv;charset=utf-8,{numbers}"),
        ]


@dataclass(frozen=True)
class Section:
    """A headed part of a page; what is empty is left out.

    Attributes:
        title: its heading.
        key: of its figures on the page; no other section's.
        paragraphs: sentences.
        findings: of the KL watch.
        table: with its sentences and notes.
        style: of the table: ``results``, ``measures`` or ``raw``.
        figures: those that have data.
        picture: an SVG.
        link: where its details are, and what that is called.
        command: that made what the page shows.
        values: by title, lists of names and values.
        folded: show only its title until somebody opens it.
    """

    title: str
    key: str = "plot"
    paragraphs: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    table: Table | None = None
    style: str = "raw"
    figures: Sequence[Figure] = ()
    picture: str = ""
    link: tuple[str, str] | None = None
    command: str = ""
    values: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    folded: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        shown = self.paragraphs, self.findings, self.table, self.figures, self.picture, self.command
        return not any((*shown, *self.values.values()))


def write_page(
    path: Path,
    title: str,
    lead: Sequence[str],
    sections: Iterable[Section],
    warnings: Sequence[str] = (),
    figures_in: Path | None = None,
) -> Path:
    """Write a page, one file that needs no other.

    Args:
        path: of the html; folders that are missing are made.
        title: of the page.
        lead: its first sentences.
        sections: those that are empty are left out.
        warnings: what to know before anything is believed; below the lead.
        figures_in: a folder for its figures as files too, see `write_figures`; None: none.

    Returns: `path`.
    """
    full = [section for section in sections if not section.empty]
    html = environment().get_template("page.html").render(title=title, lead=lead, sections=full, warnings=warnings)
    path.parent.mkdir(parents=True, exist_ok=True)
    if figures_in is not None:
        write_figures([figure for section in full for figure in section.figures], figures_in)
    return files.write(path, html)


def write_figures(shown: Iterable["Figure"], folder: Path) -> list[Path]:
    """Write each figure as SVG, as PNG and as the CSV of its numbers, named by its title; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for figure in shown:
        made: tuple[tuple[str, str | bytes], ...] = (
            ("svg", figure.svg + "\n"),
            ("png", figure.plot.png),
            ("csv", figure.plot.csv),
        )
        paths += [files.write(folder / f"{figure.name}.{ending}", each) for ending, each in made]
    return paths


def figures(*candidates: tuple[str, str, Plot | None]) -> list[Figure]:
    """Figures by title, caption and plot; without those that have no data."""
    return [Figure(title, caption, plot) for title, caption, plot in candidates if plot is not None]


def records_table(title: str, records: Sequence[Mapping[str, object]]) -> Table | None:
    """Records as a table, a column for each key; None where there are none."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    rows = tuple(Row(tuple(Cell(_value(record.get(key))) for key in keys)) for record in records)
    return Table(title, tuple(map(Column, keys)), rows) if keys else None


def settings_section(settings: Mapping[str, object], versions: Mapping[str, str], command: str = "") -> Section:
    """What was run."""
    return Section("Settings", command=command, values={"": settings, "Versions": versions})


def _value(value: object) -> str:
    return decimal(value, 4) if isinstance(value, float) else "" if value is None else plain(value)
