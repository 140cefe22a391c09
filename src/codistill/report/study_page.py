"""The page of a study: what mutual learning bought and what it cost."""

from collections.abc import Sequence
from pathlib import Path

from codistill.report.comparison import MARK, comparison
from codistill.report.evidence import (
    NOTHING,
    Evidence,
    class_gains,
    disputed,
    lessons_of,
    reliability,
)
from codistill.report.measures import measure_of
from codistill.report.numbers import percent
from codistill.report.page import Figure, Section, figures, settings_section, write_page
from codistill.report.plots.drawing import Plot
from codistill.report.plots.evidence import MOST_CLASSES, class_figure, graph_figure, reliability_figure
from codistill.report.plots.study import cohort_size_figure, cost_figure, gain_figure
from codistill.report.plots.terms import Line
from codistill.report.run_page import (
    imitation_section,
    learning_curves,
    results_section,
    similarity_section,
    validation_curves,
)
from codistill.report.sheet import sheet
from codistill.report.table import Cell, Column, Row, Table
from codistill.report.titles import title_of
from codistill.report.verdict import headline
from codistill.study.disputed import Disputed, Shown
from codistill.study.results import Result
from codistill.study.summary import Summary


def write_report(
    summary: Summary,
    log: Sequence[Line],
    results: Sequence[Result],
    path: Path,
    evidence: Evidence = NOTHING,
    figures_in: Path | None = None,
) -> Path:
    """Write the report of a study.

    Args:
        summary: what it found.
        log: the lines of the ``log.jsonl`` of its parts.
        results: of its networks.
        path: of the html; folders that are missing are made.
        evidence: what else its folder holds.
        figures_in: as of `write_page`.

    Returns: `path`.
    """
    sections = [
        Section("Results", table=comparison(summary), style="results"),
        Section("Figures", figures=_figures(summary, log, results)),
        imitation_section(log, summary),
        Section("Who learns from whom", "graph", figures=figures(_graph(summary))),
        *_example_sections(summary, evidence),
        similarity_section(results),
        settings_section(summary.settings, summary.versions, summary.command),
        results_section(results),
    ]
    title = title_of(summary.question, [(row.method, row.label) for row in summary.rows], summary.settings.get("data"))
    return write_page(path, title, headline(summary), sections, list(map(str, summary.doubts)), figures_in)


def _figures(summary: Summary, log: Sequence[Line], results: Sequence[Result]) -> list[Figure]:
    marked = f" ({MARK}: see the footnote of the table)" if any(row.same_gradient_as for row in summary.rows) else ""
    title = measure_of(summary).title
    return figures(
        (
            "Gain per seed",
            "Each small mark is one seed, each diamond the mean with its 95 % interval; right of the line a "
            f"method does better than training alone{marked}.",
            gain_figure(summary),
        ),
        (
            f"{title} by cohort size",
            "More networks learning together, and what an ensemble adds; the bars are the standard deviation "
            "over networks (one network) or over seeds (ensemble), not an interval of the mean.",
            cohort_size_figure(summary, results),
        ),
        (
            f"{title} against cost",
            "Filled marks are one network at its share of the cost, with the 95 % interval of its gain; open "
            "diamonds are the ensemble at the cost of the whole cohort; up and to the left is better.",
            cost_figure(summary),
        ),
        learning_curves(log, summary),
        validation_curves(log, summary),
    )


def _graph(summary: Summary) -> tuple[str, str, Plot | None]:
    caption = (
        "An arrow from each network to the one that learns from it, as wide as its weight W; a row's option “weight” "
        "multiplies all of them. Rows without arrows between peers are left out."
    )
    return "Graph of the networks of a cohort", caption, graph_figure(lessons_of(summary))


def _example_sections(summary: Summary, evidence: Evidence) -> list[Section]:
    """What the decisions on single examples tell."""
    per_class = (
        "Gain in recall, class by class",
        "Recall: the share of a class's test examples that is recognised, mean over networks and seeds. Each class has "
        f"few examples, so single marks move by chance. Of more than {MOST_CLASSES} classes only those that lost or "
        "gained most are drawn; the CSV has all.",
        class_figure(summary, class_gains(summary, evidence)),
    )
    calibration = (
        "Calibration",
        "Decisions in 15 bins of their confidence, all networks and seeds together; the more decisions a bin holds, "
        "the larger its mark. Below the diagonal networks are overconfident, above it underconfident.",
        reliability_figure(summary, reliability(summary, evidence)),
    )
    return [
        Section("Classes", "classes", figures=figures(per_class)),
        Section("Confidence", "confidence", figures=figures(calibration)),
        disputed_section(disputed(summary, evidence), evidence),
    ]


def disputed_section(found: Sequence[Disputed], evidence: Evidence) -> Section:
    """The test examples on which peers differ most, with their images or texts where they were kept; empty where there
    are none.
    """
    said = (
        "Test examples on which the networks of a cohort choose different classes most often, over all seeds and rows "
        "in which peers learn from one another. Look at these first: they are hard, rare, or their label is wrong."
    )
    shown = {one.number: evidence.examples.get(one.number, Shown()) for one in found}
    texts = any(each.text for each in shown.values())
    titles = ("Example", "Label", "Pairs that differ, %", "Chosen (networks)", *(["Text"] if texts else []))
    rows = tuple(
        Row(
            (
                Cell(str(one.number)),
                Cell(evidence.name(one.label)),
                Cell(percent(one.differ, 0)),
                Cell(", ".join(f"{evidence.name(vote)} ({times})" for vote, times in one.votes)),
                *([Cell(shown[one.number].text)] if texts else []),
            )
        )
        for one in found
    )
    title = "Most disputed examples"
    table = Table("Test examples that peers dispute most", tuple(map(Column, titles)), rows) if rows else None
    return Section(title, paragraphs=(said,) if rows else (), table=table, picture=_sheet(found, evidence))


def _sheet(found: Sequence[Disputed], evidence: Evidence) -> str:
    """The images of those that were kept, each with its label and the class that is chosen most often instead."""
    images = []
    for one in found:
        image = evidence.examples.get(one.number, Shown()).image
        others = [vote for vote, _ in one.votes if vote != one.label]
        if image and others:
            images.append((image, evidence.name(one.label), evidence.name(others[0])))
    return sheet(images, "Images of the test examples that peers dispute most; the table below has them in this order")
