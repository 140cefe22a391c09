"""The report of whatever a folder holds: a run, a comparison or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codistill import files, study as studies
from codistill.checkpoint import read_runs
from codistill.report.chapters_page import write_chapters
from codistill.report.evidence import evidence_of
from codistill.report.lessons import Lesson
from codistill.report.markdown import markdown
from codistill.report.run_page import write_run_report
from codistill.report.study_page import write_report
from codistill.report.traffic import rounds_notes
from codistill.study.chapters import is_chapters, names_of
from codistill.study.results import Result, read_results
from codistill.study.summary import Summary
from codistill.training.learnt import read_doubts
from codistill.training.records import read_log, thinned
from codistill.training.sizes import sizes_of

FIGURES = "figures"


@dataclass(frozen=True)
class Written:
    """A report and what it was made of.

    Attributes:
        path: of the page.
        log: the epochs' lines.
        results: of the networks; none where a run is not finished.
        summary: of a comparison.
        doubts: what speaks against it.
    """

    path: Path
    log: Sequence[Mapping[str, Any]]
    results: Sequence[Result]
    summary: Summary | None = None
    doubts: Sequence[str] = ()


def write_folder(folder: Path, figures: bool = False) -> Written:
    """Write ``report.html`` of a run or a comparison, and ``report.md`` of a comparison.

    Args:
        folder: of either.
        figures: whether its figures are written as files too, into ``figures``.

    Raises:
        FileNotFoundError: it is neither, or a comparison that is not finished.
    """
    path, results = folder / "report.html", read_results(folder)
    figures_in = folder / FIGURES if figures else None
    if not (folder / "study.json").exists():
        lines = read_log(folder)
        log: Sequence[Mapping[str, Any]] = thinned([r for r in lines if r["kind"] == "epoch"])
        doubts, notes = list(map(str, read_doubts(folder))), rounds_notes(lines)
        write_run_report(read_runs(folder), log, results, path, sizes_of(folder), doubts, figures_in, notes)
        return Written(path, log, results, doubts=doubts)
    summary, log = summary_of(folder, folder), thinned(studies.log_of(folder))
    write_report(summary, log, results, path, evidence_of(folder, results), figures_in)
    files.write(folder / "report.md", markdown(summary))
    return Written(path, log, results, summary, list(map(str, summary.doubts)))


def write_several(folder: Path, figures: bool = False) -> tuple[Path, list[Lesson]]:
    """Write the page of several comparisons in a folder.

    Args:
        folder: of all of them.
        figures: whether its figure is written as files too, into ``figures``, and each one's own page with its figures.

    Returns: the page's path, and what each comparison taught.

    Raises:
        FileNotFoundError: one of them is not finished.
    """
    names, command = names_of(folder)
    lessons = [Lesson(name, summary_of(folder / name, folder)) for name in names]
    for name in names if figures else ():
        write_folder(folder / name, figures)
    figures_in = folder / FIGURES if figures else None
    return write_chapters(lessons, folder / "report.html", command, figures_in), lessons


def summary_of(folder: Path, resumed: Path) -> Summary:
    """What a comparison found.

    Raises:
        FileNotFoundError: it is not finished; says to resume the folder ``resumed``.
    """
    path = folder / "summary.json"
    if files.read_if_whole(path) is None:
        raise FileNotFoundError(f"{folder} is not finished: codistill resume {resumed}")
    return Summary.read(path)


def write(folder: str | Path) -> Path:
    """Write the report of a folder: of a run, of a comparison or of several.

    Returns: the page's path, ``report.html`` in the folder.

    Raises:
        FileNotFoundError: nothing of these is there, or a comparison is not finished.
    """
    folder = Path(folder)
    return write_several(folder)[0] if is_chapters(folder) else write_folder(folder).path
