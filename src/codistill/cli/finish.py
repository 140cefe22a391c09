"""Train to the end, or to an interruption, and write the report."""

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.report.progress import Form
    from codistill.training.records import Record

NOTHING_LEARNT = 3  # the exit code of what came to its end and has learnt nothing


def form_of(quiet: bool, as_json: bool) -> "Form":
    """How progress is printed.

    Raises:
        ValueError: in two ways at once.
    """
    if quiet and as_json:
        raise ValueError("--quiet prints nothing, --json one record per line: leave one out")
    return "quiet" if quiet else "json" if as_json else "lines"


def dry_run(begin: Callable[[Path], Generator["Record", None, None]], console: "Console", form: "Form") -> None:
    """Say what a training needs after a few steps; its folder is a temporary one."""
    from codistill.report.progress import watch

    with TemporaryDirectory() as folder:
        last = watch(begin(Path(folder) / "run"), console, form, dry=True)
    if last.kind != "step":
        console.print("It ended before it could be timed.")


def follow(
    records: Generator["Record", None, None],
    folder: Path,
    console: "Console",
    form: "Form" = "lines",
    chapter_of: Path | None = None,
    track: Sequence[str] = (),
) -> bool:
    """Show a training's progress to its end and write its report; an interruption says how to go on.

    Args:
        records: of the training.
        folder: its.
        console: to print to.
        form: how; see `watch`.
        chapter_of: the folder of several comparisons that this is one of.
        track: tools that get the records too, see `codistill.tracking`.

    Returns: whether anything was learnt; True of a quick look, which is not there to learn.

    Raises:
        SystemExit: it was interrupted, with the code of the signal.
    """
    from rich.console import Console

    from codistill.report.interruption import Interrupted
    from codistill.report.progress import watch
    from codistill.tracking import tracked

    aloud = console  # for what is said in any form
    if form != "lines":
        console, aloud = Console(quiet=True), Console(stderr=True, highlight=False)
    try:
        last = watch(tracked(records, folder, track), console, form)
    except Interrupted as stop:
        begun = any((folder / name).exists() for name in ("runs.json", "study.json"))
        how = (
            f"Nothing is lost. Resume with:\n  codistill resume {chapter_of or folder}"
            if begun
            else "Nothing was begun."
        )
        aloud.print(f"\n{str(stop).capitalize()}. {how}", markup=False)
        raise SystemExit(stop.exit_code) from None
    write_report_of(folder, console, footnotes=chapter_of is None, aloud=aloud)
    if form == "json":
        print(json.dumps({"kind": "report", "folder": str(folder), "report": str(folder / "report.html")}), flush=True)
    return bool(last.facts.get("quick")) or not last.facts.get("nothing_learnt")


def end(learnt: bool) -> None:
    """End with `NOTHING_LEARNT` where nothing was learnt.

    Raises:
        SystemExit: so it is.
    """
    if not learnt:
        raise SystemExit(NOTHING_LEARNT)


def say_if_unfinished(folder: Path, console: "Console") -> None:
    """What is shown of a run that was interrupted is of its newest checkpoint."""
    from codistill.checkpoint import facts_of, latest

    newest, home = latest(folder), folder.parent.parent
    resumed = home if (home / "study.json").exists() else folder  # of a comparison's part, the comparison
    if newest is None:
        console.print(f"Not finished, and no checkpoint yet. Resume with:\n  codistill resume {resumed}")
    elif (facts := facts_of(newest))["step"] < facts["steps"]:
        step = f"step {facts['step']} of {facts['steps']}"
        console.print(f"Not finished: {step}. Resume with:\n  codistill resume {resumed}")


def write_report_of(
    folder: Path,
    console: "Console",
    footnotes: bool = True,
    aloud: "Console | None" = None,
    figures: bool = False,
) -> None:
    """Write the report of a folder, and print its table, what that means, what to doubt, and what the KL watch found.

    Args:
        folder: of a run or a comparison.
        console: to print to.
        footnotes: whether the table has them.
        aloud: for warnings, where it is another.
        figures: whether its figures are written as files too.

    Raises:
        FileNotFoundError: it is not finished.
    """
    from codistill.analysis.judge import warnings
    from codistill.report.comparison import comparison
    from codistill.report.results import results_table
    from codistill.report.table import terminal
    from codistill.report.verdict import verdict_of
    from codistill.report.writing import write_folder

    written = write_folder(folder, figures)
    if written.summary is not None:
        table = comparison(written.summary)
        console.print(terminal(table if footnotes else replace(table, notes=())))
        if footnotes:
            console.print("\n".join(["", *verdict_of(written.summary)]), markup=False)
    else:
        if written.results:
            console.print(results_table(written.results, console.width))
        say_if_unfinished(folder, console)
    for warning in (*written.doubts, *warnings(written.log)):
        (aloud or console).print(f"Warning: {warning}", soft_wrap=True, markup=False)
    console.print(f"Report: {written.path}")
    if figures:
        console.print(f"Figures: {written.path.parent / 'figures'}")
