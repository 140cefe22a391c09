"""``report`` of several folders: their runs side by side, or their comparisons, on one page."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Settings that do not tell runs apart: what their tables say anyway, and how they were computed.
LEFT_OUT = ("method", "seed", "retraining", "execute", "threads", "device", "download", "checkpoint_every")


def report_several(
    folders: Sequence[Path], out: Path | None, console: "Console", command: str, figures: bool = False
) -> None:
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
    figures_in = out / "figures" if figures else None
    if all(comparisons):
        _comparisons(folders, page, console, command, figures_in)
    else:
        _runs(folders, page, console, figures_in)
    console.print(f"Report: {page}", soft_wrap=True)
    if figures:
        console.print(f"Figures: {figures_in}", soft_wrap=True)


def _comparisons(
    folders: Sequence[Path], page: Path, console: "Console", command: str, figures_in: Path | None
) -> None:
    from codistill.report.chapters_page import write_chapters
    from codistill.report.lessons import Lesson, lead, lessons_table
    from codistill.report.table import terminal
    from codistill.report.titles import distinct
    from codistill.study.summary import Summary

    summaries = []
    for folder in folders:
        path = folder / "summary.json"
        if not path.exists():
            raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}")
        summaries.append(Summary.read(path))
    settings = [{**summary.settings, "seeds": list(summary.seeds)} for summary in summaries]
    titles = distinct([summary.title for summary in summaries], settings, [folder.name for folder in folders])
    lessons = [
        Lesson(os.path.relpath(folder, page.parent), replace(summary, question=title))
        for folder, summary, title in zip(folders, summaries, titles, strict=True)
    ]
    write_chapters(lessons, page, command, figures_in)
    console.print(terminal(lessons_table(lessons)))
    for sentence in lead(lessons):
        console.print(sentence, markup=False)


def _runs(folders: Sequence[Path], page: Path, console: "Console", figures_in: Path | None) -> None:
    from codistill.checkpoint import read_runs
    from codistill.report.results import results_table
    from codistill.report.run_page import write_run_report
    from codistill.report.titles import distinct
    from codistill.run import told_apart
    from codistill.study.results import Result, read_results
    from codistill.training.fleet import peers_by_run
    from codistill.training.learnt import named_peers, read_doubts
    from codistill.training.records import epochs_of

    results: list[Result] = []
    log: list[Mapping[str, Any]] = []
    doubts: list[str] = []
    every = [(folder, run) for folder in folders for run in read_runs(folder)]
    settings = [{k: v for k, v in run.as_dict().items() if k not in LEFT_OUT} for _, run in every]
    methods, names = [str(run.method) for _, run in every], [folder.name for folder, _ in every]
    titles = distinct(methods, settings, names, [(run.seed, run.retraining) for _, run in every])
    for folder in folders:
        own = {run: title for (home, run), title in zip(every, titles, strict=True) if home == folder}
        found = read_results(folder)
        if not found:
            raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}")
        numbered = list(peers_by_run(own))
        results += [replace(result, method=own[numbered[result.number]]) for result in found]
        log += epochs_of(folder, {name: own[run] for run, name in told_apart(own).items()})
        for doubt in read_doubts(folder):
            run = numbered[doubt.number]
            doubts.append(f"{own[run]}, seed {run.seed}, {named_peers(doubt.peers)}: {doubt.text}")
    console.print(results_table(results, console.width))
    write_run_report([run for _, run in every], log, results, page, doubts=doubts, figures_in=figures_in)


__all__ = ["report_several"]
