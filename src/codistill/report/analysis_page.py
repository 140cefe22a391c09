"""The page of an analysis, in the looks of a report."""

from html import escape
from pathlib import Path
from typing import Any

from codistill.analysis import MADE_BY
from codistill.analysis.findings import Finding
from codistill.report.analysis import Shown, about, tables
from codistill.report.analysis_plots import (
    line_figure,
    noise_figure,
    path_figure,
    peers_figure,
    plane_figure,
    posterior_figure,
)
from codistill.report.page import Drawn, figures, finding_list, section, settings_section, write_page

TITLE = "Why it works: minima, posteriors and peers"
Analysis = dict[str, Any]


def write_analysis(analysis: Analysis, path: Path, command: str = "") -> Path:
    """Write the page.

    Args:
        analysis: what `codistill.analysis.analyze` gives.
        path: of the html.
        command: that made it.

    Returns: `path`.
    """
    drawn = _drawn(analysis)
    shown = tables(analysis)
    parts = [f'<p class="lead">{escape(" ".join(about(analysis)))}</p>']
    parts += [figures(drawn.get(one.key, []), one.title, one.key, _table(one)) for one in shown]
    parts.append(figures(drawn["around"], "What does the loss look like around a solution?", "around"))
    found = findings_of(analysis)
    if found:
        parts.append(section("Is the mimic term doing anything?", finding_list(found)))
    settings = {**analysis["settings"], "folders": analysis["folders"], "device": analysis["device"]}
    parts.append(settings_section(settings, analysis["versions"], command))
    return write_page(path, TITLE, parts)


def is_analysis(path: Path) -> bool:
    """Whether a file was made by an earlier analysis."""
    with path.open(encoding="utf-8", errors="replace") as file:
        start = file.read(2000)
    return f"<title>{TITLE}</title>" in start or f'"made_by": "{MADE_BY}"' in start


def findings_of(analysis: Analysis) -> list[Finding]:
    """The findings of the KL watch, from their plain form."""
    found = []
    for one in analysis["findings"]:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in one.items() if k != "sentence"}
        found.append(Finding(**values))
    return found


def _drawn(analysis: Analysis) -> dict[str, list[Drawn]]:
    band = "the line is the mean over networks and seeds, the band goes from the lowest to the highest network"
    return {
        "noise": [
            (
                "Training loss under noise",
                f"The same noise for all networks; {band}. The later a curve rises, the wider is the minimum.",
                noise_figure(analysis),
            )
        ],
        "sure": [
            (
                "Sorted posteriors",
                f"Mean probability by rank; {band}. What the first rank loses the others gain.",
                posterior_figure(analysis),
            )
        ],
        "peers": [
            (
                "Divergence and agreement of peers",
                "Mean over pairs and seeds with a band of one standard deviation; networks trained alone to compare.",
                peers_figure(analysis),
            )
        ],
        "around": [
            (
                "Along a random direction",
                f"Training loss at w + a d, each filter of d as long as the network's; {band}.",
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
                f"anew; {band}. A hill says that they are in different valleys.",
                path_figure(analysis),
            ),
        ],
    }


def _table(shown: Shown) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in shown.heads)
    body = []
    for (name, _), *cells in shown.rows:
        each = "".join(f"<td><span>{escape(a)}</span><small>{escape(b)}</small></td>" for a, b in cells)
        body.append(f'<tr><th scope="row">{escape(name)}</th>{each}</tr>')
    rows = "\n".join(body)
    read = "".join(f"<p>{escape(sentence)}</p>" for sentence in shown.read)
    notes = "".join(f"<li>{escape(note)}</li>" for note in shown.notes)
    return (
        f'<div class="read">{read}</div>\n<div class="scroll"><table class="measures"><thead><tr>{head}</tr></thead>\n'
        f'<tbody>\n{rows}\n</tbody></table></div>\n<ul class="footnotes">{notes}</ul>'
    )


__all__ = ["TITLE", "findings_of", "is_analysis", "write_analysis"]
