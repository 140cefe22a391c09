"""The page of an analysis."""

from dataclasses import asdict
from pathlib import Path

from codistill.analysis import MADE_BY, Analysis
from codistill.report.analysis_tables import WATCH, about, tables
from codistill.report.page import Figure, Section, figures, settings_section, write_page
from codistill.report.plots.analysis import (
    line_figure,
    noise_figure,
    path_figure,
    peers_figure,
    plane_figure,
    posterior_figure,
)

TITLE = "Why it works: minima, posteriors and peers"
_BAND = "the line is the mean over networks and seeds, the band goes from the lowest to the highest network"


def write_analysis(analysis: Analysis, path: Path, command: str = "") -> Path:
    """Write the page.

    Args:
        analysis: what was measured.
        path: of the html.
        command: that made it.

    Returns: `path`.
    """
    plots = {
        "noise": figures(
            (
                "Training loss under noise",
                f"The same noise for all networks; {_BAND}. The later a curve rises, the wider is the minimum.",
                noise_figure(analysis),
            )
        ),
        "sure": figures(
            (
                "Sorted posteriors",
                f"Mean probability by rank; {_BAND}. What the first rank loses the others gain.",
                posterior_figure(analysis),
            )
        ),
        "peers": figures(
            (
                "Divergence and agreement of peers",
                "Mean over pairs and seeds with a band of one standard deviation; networks trained alone to compare.",
                peers_figure(analysis),
            )
        ),
    }
    settings = {**asdict(analysis.settings), "folders": analysis.folders, "device": analysis.device}
    sections = [
        *(
            Section(table.title, table.key, table=table, style="measures", figures=plots.get(table.key, ()))
            for table in tables(analysis)
        ),
        Section("What does the loss look like around a solution?", "around", figures=_surroundings(analysis)),
        Section(WATCH, findings=analysis.findings),
        settings_section(settings, analysis.versions, command),
    ]
    return write_page(path, TITLE, about(analysis), sections)


def is_analysis(path: Path) -> bool:
    """Whether a file was made by an earlier analysis."""
    with path.open(encoding="utf-8", errors="replace") as file:
        start = file.read(2000)
    return f"<title>{TITLE}</title>" in start or f'"made_by": "{MADE_BY}"' in start


def _surroundings(analysis: Analysis) -> list[Figure]:
    return figures(
        (
            "Along a random direction",
            f"Training loss at w + a d, each filter of d as long as the network's; {_BAND}.",
            line_figure(analysis),
        ),
        (
            "On a plane",
            "Training loss around the first network of each method's first seed, along two such directions, the "
            "same for all (before they are scaled); on a logarithmic scale.",
            plane_figure(analysis),
        ),
        (
            "From one peer to another",
            "Training loss on the straight way between two networks of a run, batch norm's statistics measured "
            f"anew; {_BAND}. A hill says that they are in different valleys.",
            path_figure(analysis),
        ),
    )


__all__ = ["TITLE", "is_analysis", "write_analysis"]
