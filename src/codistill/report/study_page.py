"""The page of a study: what mutual learning bought and what it cost."""

from collections.abc import Sequence
from pathlib import Path

from codistill.report.comparison import MARK, comparison
from codistill.report.measures import measure_of
from codistill.report.page import Figure, Section, figures, settings_section, write_page
from codistill.report.plots.study import cohort_size_figure, cost_figure, gain_figure
from codistill.report.plots.terms import Line
from codistill.report.run_page import imitation_section, learning_curves, results_section, similarity_section
from codistill.report.verdict import headline
from codistill.study.results import Result
from codistill.study.summary import Summary


def write_report(summary: Summary, log: Sequence[Line], results: Sequence[Result], path: Path) -> Path:
    """Write the report of a study.

    Args:
        summary: what it found.
        log: the lines of the ``log.jsonl`` of its parts.
        results: of its networks.
        path: of the html; folders that are missing are made.

    Returns: `path`.
    """
    sections = [
        Section("Results", table=comparison(summary), style="results"),
        Section("Figures", figures=_figures(summary, log, results)),
        imitation_section(log, summary),
        similarity_section(results),
        settings_section(summary.settings, summary.versions, summary.command),
        results_section(results),
    ]
    title = f"What mutual learning bought and what it cost: {summary.recipe}"
    return write_page(path, title, headline(summary), sections)


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
            "over networks (one network) or over seeds (ensemble), no interval of the mean.",
            cohort_size_figure(summary, results),
        ),
        (
            f"{title} against cost",
            "Filled marks are one network at its share of the cost, with the 95 % interval of its gain; open "
            "diamonds are the ensemble at the cost of the whole cohort; up and to the left is better.",
            cost_figure(summary),
        ),
        learning_curves(log, summary),
    )
