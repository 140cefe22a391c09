"""The page of several experiments: what was learnt, then a chapter for each, with its full report behind a link."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from codistill import files
from codistill.report.comparison import comparison
from codistill.report.lessons import Lesson, lead, lessons_table
from codistill.report.page import Section, figures, write_figures, write_page
from codistill.report.plots.overview import overview, overview_figure
from codistill.report.table import Table

GAINS = "Gains and their intervals"
SEVERAL = (
    "Of several rows of one kind the text names the one with the largest gain, which is likely to be overestimated."
)


def write_chapters(lessons: Sequence[Lesson], path: Path, command: str = "", figures_in: Path | None = None) -> Path:
    """Write the page of several experiments, and beside it their gains in one picture, ``gains.svg``.

    Args:
        lessons: in order.
        path: of the html; folders that are missing are made.
        command: that made them.
        figures_in: a folder for that picture as SVG, PNG and CSV too, see `write_figures`; None: none.

    Returns: `path`.
    """
    picture, tables = overview(lessons), [comparison(lesson.summary) for lesson in lessons]
    shared = _shared_notes(tables)
    sections = [
        Section("What was learnt", table=lessons_table(lessons), style="results"),
        Section(GAINS, picture=picture),
        *(_chapter(lesson, table, shared) for lesson, table in zip(lessons, tables, strict=True)),
        Section("What the columns mean", paragraphs=(*shared, SEVERAL)),
        Section("Settings", command=command, values=_values(lessons)),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture:
        files.write(path.with_name("gains.svg"), picture + "\n")
    if figures_in is not None:
        write_figures(figures((GAINS, "", overview_figure(lessons))), figures_in)
    return write_page(path, "Where mutual learning pays, and where it does not", lead(lessons), sections)


def _chapter(lesson: Lesson, table: Table, shared: Sequence[str]) -> Section:
    own = replace(table, notes=tuple(note for note in table.notes if note not in shared))
    link = (f"{quote(lesson.name)}/report.html", "The full report of this experiment: learning curves, costs, settings")
    doubts = [f"Warning: {doubt}." for doubt in lesson.summary.doubts]
    return Section(
        lesson.title, paragraphs=[" ".join(lesson.sentences()), *doubts], table=own, style="results", link=link
    )


def _shared_notes(tables: Sequence[Table]) -> list[str]:
    """The footnotes that all tables have."""
    first, *others = tables
    return [note for note in first.notes if all(note in table.notes for table in others)]


def _values(lessons: Sequence[Lesson]) -> Mapping[str, Mapping[str, object]]:
    """The versions of what made the figures, where they are the same for all."""
    versions = lessons[0].summary.versions
    return {"Versions": versions} if all(lesson.summary.versions == versions for lesson in lessons) else {}
