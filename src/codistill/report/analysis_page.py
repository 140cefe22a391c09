"""The page of an analysis."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from codistill.analysis import MADE_BY, Analysis
from codistill.report.analysis_tables import WATCH, about, tables
from codistill.report.page import Figure, Section, figures, settings_section, write_page
from codistill.report.plots import analysis as plots
from codistill.report.plots.drawing import Plot

TITLE = "Why it works: minima, posteriors and peers"
BAND = "the line is the mean over networks and seeds, the band goes from the lowest to the highest network"

# The key of the section, title, figure and caption.
FIGURES: tuple[tuple[str, str, Callable[[Analysis], Plot | None], str], ...] = (
    (
        "noise",
        "Training loss under noise",
        plots.noise_figure,
        f"The same noise for all networks; {BAND}. The later a curve rises, the wider is the minimum.",
    ),
    (
        "sure",
        "Sorted posteriors",
        plots.posterior_figure,
        f"Mean probability by rank; {BAND}. What the first rank loses the others gain.",
    ),
    (
        "peers",
        "Divergence and agreement of peers",
        plots.peers_figure,
        "Mean over pairs and seeds with a band of one standard deviation; networks trained alone to compare.",
    ),
    (
        "around",
        "Along a random direction",
        plots.line_figure,
        f"Training loss at w + a d, each filter of d as long as the network's; {BAND}.",
    ),
    (
        "around",
        "On a plane",
        plots.plane_figure,
        "Training loss around the first network of each method's first seed, along two such directions, the "
        "same for all (before they are scaled); on a logarithmic scale.",
    ),
    (
        "around",
        "From one peer to another",
        plots.path_figure,
        "Training loss on the straight line between two networks of a run, batch norm's statistics estimated "
        f"again at each point; {BAND}. A hill says that they are in different valleys.",
    ),
)


def write_analysis(analysis: Analysis, path: Path, command: str = "") -> Path:
    """Write the page.

    Args:
        analysis: what was measured.
        path: of the html.
        command: that made it.

    Returns: `path`.
    """

    def drawn(section: str) -> list[Figure]:
        return figures(*((title, caption, draw(analysis)) for key, title, draw, caption in FIGURES if key == section))

    settings = {**asdict(analysis.settings), "folders": analysis.folders, "device": analysis.device}
    shown = tables(analysis)
    sections = [
        *(Section(table.title, table.key, table=table, style="measures", figures=drawn(table.key)) for table in shown),
        Section("What does the loss look like around a solution?", "around", figures=drawn("around")),
        Section(WATCH, findings=analysis.findings),
        settings_section(settings, analysis.versions, command),
    ]
    return write_page(path, TITLE, about(analysis), sections)


def is_analysis(path: Path) -> bool:
    """Whether a file was made by an earlier analysis."""
    with path.open(encoding="utf-8", errors="replace") as file:
        start = file.read(2000)
    return f"<title>{TITLE}</title>" in start or f'"made_by": "{MADE_BY}"' in start
