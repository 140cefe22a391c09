"""Train to the end, or to an interruption, and write the report."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.training.records import Record


def follow(
    records: Generator["Record", None, None], folder: Path, console: "Console", chapter_of: Path | None = None
) -> None:
    """Show a training's progress to its end and write its report; an interruption says how to go on.

    Args:
        records: of the training.
        folder: its.
        console: to print to.
        chapter_of: the folder of several comparisons that this is one of.

    Raises:
        SystemExit: it was interrupted.
    """
    from codistill.report.progress import Interrupted, watch

    try:
        watch(records, console)
    except Interrupted as stop:
        console.print(
            f"\n{str(stop).capitalize()}. Nothing is lost. Resume with:\n  codistill resume {chapter_of or folder}"
        )
        raise SystemExit(130) from None
    write_report_of(folder, console, footnotes=chapter_of is None)


def say_if_unfinished(folder: Path, console: "Console") -> None:
    """What is shown of a run that was interrupted is of its newest checkpoint."""
    from codistill.checkpoint import facts_of, latest

    newest = latest(folder)
    if newest is None:
        console.print(f"Not finished, and no checkpoint yet. Resume with:\n  codistill resume {folder}")
    elif (facts := facts_of(newest))["step"] < facts["steps"]:
        step = f"step {facts['step']} of {facts['steps']}"
        console.print(f"Not finished: {step}. Resume with:\n  codistill resume {folder}")


def write_report_of(folder: Path, console: "Console", footnotes: bool = True) -> None:
    """Write the report of a folder, and print its table, with its footnotes, and what the KL watch found.

    Raises:
        FileNotFoundError: it is not finished.
    """
    from codistill import study as studies
    from codistill.analysis.judge import warnings
    from codistill.checkpoint import read_runs
    from codistill.report.comparison import comparison
    from codistill.report.evidence import evidence_of
    from codistill.report.markdown import markdown
    from codistill.report.results import results_table
    from codistill.report.run_page import write_run_report
    from codistill.report.study_page import write_report
    from codistill.report.table import terminal
    from codistill.study.results import read_results
    from codistill.training.records import read_lines

    results = read_results(folder)
    path = folder / "report.html"
    if (folder / "study.json").exists():
        if not (folder / "summary.json").exists():
            raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}")
        summary = studies.Summary.from_json((folder / "summary.json").read_text(encoding="utf-8"))
        log = studies.log_of(studies.load(folder), folder)
        write_report(summary, log, results, path, evidence_of(folder))
        (folder / "report.md").write_text(markdown(summary), encoding="utf-8")
        table = comparison(summary)
        console.print(terminal(table if footnotes else replace(table, notes=()), narrow=True))
    else:
        log = [line for line in read_lines(folder / "log.jsonl") if line["kind"] == "epoch"]
        write_run_report(read_runs(folder), log, results, path)
        if results:
            console.print(results_table(results))
        say_if_unfinished(folder, console)
    for warning in warnings(log):
        console.print(f"Warning: {warning}", soft_wrap=True, markup=False)
    console.print(f"Report: {path}")
