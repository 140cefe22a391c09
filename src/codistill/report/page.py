"""One self-contained page: it loads nothing, and a policy in it forbids it to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import plotly.graph_objects as go

from codistill.analysis.judge import Finding
from codistill.report.prose import environment, plain
from codistill.report.table import Cell, Column, Row, Table


@dataclass(frozen=True)
class Figure:
    """A figure with its title and caption."""

    title: str
    caption: str
    plot: go.Figure

    @property
    def json(self) -> str:
        """Its data and layout, as they can stand in a script: nothing in a label can end that."""
        return str(self.plot.to_json()).replace("<", "\\u003c")


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
    command: str = ""
    values: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    folded: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        shown = self.paragraphs, self.findings, self.table, self.figures, self.command, *self.values.values()
        return not any(shown)


def write_page(path: Path, title: str, lead: Sequence[str], sections: Iterable[Section]) -> Path:
    """Write a page; the plotting library goes in once, and only where there is something to plot.

    Args:
        path: of the html; folders that are missing are made.
        title: of the page.
        lead: its first sentences.
        sections: those that are empty are left out.

    Returns: `path`.
    """
    from plotly.offline import get_plotlyjs

    full = [section for section in sections if not section.empty]
    plotly = get_plotlyjs() if any(section.figures for section in full) else ""
    html = environment().get_template("page.html").render(title=title, lead=lead, sections=full, plotly=plotly)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return path


def figures(*candidates: tuple[str, str, go.Figure | None]) -> list[Figure]:
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
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else plain(value)
