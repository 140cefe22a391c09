"""``report`` of several folders: their runs side by side, or their comparisons, on one page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def report_several(folders: Sequence[Path], out: Path | None, console: "Console", command: str) -> None:
    """Write one page of finished runs, or of finished comparisons.

    Raises:
        ValueError: no folder, none to write to, or runs and comparisons mixed.
        FileNotFoundError: one is no finished run or comparison.
        FileExistsError: there is a page already.
    """
    if not folders or out is None:
        raise ValueError(f"report of {len(folders)} folders: give two or more, and say where with --out FOLDER")
    page = out / "report.html"
    if page.exists():
        raise FileExistsError(f"{page} already exists: choose another --out")
    comparisons = [(folder / "study.json").exists() for folder in folders]
    if any(comparisons) and not all(comparisons):
        raise ValueError(f"{', '.join(map(str, folders))} are runs and comparisons: give one kind")
    if all(comparisons):
        _comparisons(folders, page, console, command)
    else:
        _runs(folders, page, console)
    console.print(f"Report: {page}", soft_wrap=True)


def _comparisons(folders: Sequence[Path], page: Path, console: "Console", command: str) -> None:
    from codistill.report.chapters_page import write_chapters
    from codistill.report.lessons import Lesson, lead, lessons_table
    from codistill.report.table import terminal
    from codistill.study.summary import Summary

    lessons = []
    for folder in folders:
        path = folder / "summary.json"
        if not path.exists():
            raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}")
        summary = Summary.read(path)
        if summary.title != folder.name:
            summary = replace(summary, question=f"{folder.name}: {summary.title}")
        lessons.append(Lesson(os.path.relpath(folder, page.parent), summary))
    write_chapters(lessons, page, command)
    console.print(terminal(lessons_table(lessons), narrow=True))
    for sentence in lead(lessons):
        console.print(sentence, markup=False)


def _runs(folders: Sequence[Path], page: Path, console: "Console") -> None:
    from codistill.checkpoint import read_runs
    from codistill.report.results import results_table
    from codistill.report.run_page import write_run_report
    from codistill.study.results import Result, read_results
    from codistill.training.learnt import read_doubts
    from codistill.training.records import epochs_of

    results: list[Result] = []
    log: list[Mapping[str, Any]] = []
    doubts: list[str] = []
    runs = []
    for folder in folders:
        own, each = read_runs(folder), read_results(folder)
        if not each:
            raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}")
        results += [replace(result, method=f"{folder.name}: {result.method}") for result in each]
        log += epochs_of(folder, {run.name: f"{folder.name}: {run.method}" for run in own})
        doubts += [f"{folder.name}: {doubt}" for doubt in read_doubts(folder)]
        runs += own
    console.print(results_table(results))
    write_run_report(runs, log, results, page, doubts=doubts)


__all__ = ["report_several"]
