"""``codistill verify``: what of a folder is damaged. It imports nothing that a file of the folder names."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from codistill import files

if TYPE_CHECKING:
    from rich.console import Console

SEALED = (
    "study.json",
    "chapters.json",
    "networks.json",
    "costs.json",
    "summary.json",
    "examples.json",
    "analysis.json",
)  # one object each


@dataclass
class Verify:
    """Check every file of a run or a comparison for damage, by its checksums; exit code 1 where some is damaged."""

    folder: Positional[
        Annotated[Path, arg(metavar="FOLDER", help="Folder of a run, or of one or several comparisons.")]
    ]

    def __call__(self, console: "Console", command: str) -> None:
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder} is no folder")
        checked, damaged = 0, 0
        for problems in verify(self.folder):
            checked += 1
            damaged += any(problem.damage for problem in problems)
            for problem in problems:
                console.print(
                    ("Damaged: " if problem.damage else "Note: ") + problem.text, markup=False, soft_wrap=True
                )
        if not checked:
            raise FileNotFoundError(f"{self.folder} holds no run and no comparison")
        if damaged:
            raise files.Damaged(f"{damaged} of {checked} things checked in {self.folder} are damaged")
        console.print(f"{checked} things checked in {self.folder}: none is damaged.", markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file, in a line; damage, or only that something could not be checked."""

    text: str
    damage: bool = True


def verify(folder: Path) -> Iterator[list[Problem]]:
    """What is wrong with each thing below a folder: a list for each, empty where nothing is."""
    for name in SEALED:
        for path in sorted(folder.rglob(name)):
            yield _problems(partial(_sealed, path))
    for path in sorted(folder.rglob("study.json")):
        yield _problems(partial(_results, path.parent, 1))
    for path in sorted(folder.rglob("runs.json")):
        yield from _run(path.parent)


def _run(folder: Path) -> Iterator[list[Problem]]:
    """The files of a run's folder, or of a part of a comparison."""
    from codistill.checkpoint import all_of, load, read_runs
    from codistill.training.decisions import read_decisions
    from codistill.training.learnt import read_doubts
    from codistill.training.records import read_log

    runs = 0

    def read() -> None:
        nonlocal runs
        runs = len(read_runs(folder))

    yield _problems(read)
    for path in all_of(folder):
        yield _problems(partial(load, path))
    yield _problems(lambda: read_log(folder), damage=("are damaged", "are missing"))
    yield _problems(lambda: _log_end(folder))
    yield _problems(lambda: _results(folder, runs))
    yield _problems(lambda: read_decisions(folder))
    yield _problems(lambda: read_doubts(folder))


def _problems(read: Callable[[], object], damage: tuple[str, ...] = ()) -> list[Problem]:
    """What reading something says: errors, and warnings, which are damage where they say so."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            read()
        except (ValueError, OSError) as error:
            return [Problem(" ".join(str(error).split()))]
    texts = [" ".join(str(warning.message).split()) for warning in said]
    return [Problem(text, any(word in text for word in damage)) for text in texts]


def _log_end(folder: Path) -> None:
    """The log comes to the newest checkpoint: what is cut from the end of a file leaves no other trace.

    Of a run that was broken off, whose last steps may not be in it, to the last epoch that ended before it.
    """
    from codistill.checkpoint import facts_of, latest, step_of
    from codistill.training.records import read_log

    newest, path = latest(folder), folder / "log.jsonl"
    if newest is None:
        return
    log, last, ended = read_log(folder), step_of(newest), (folder / "results.jsonl").exists()
    if not ended:
        with suppress(ValueError, OSError):  # of the checkpoint, which is told of it
            if facts_of(newest).get("passed_over"):
                return  # an epoch of which no step was taken has no line
        each = next((line.get("steps_per_epoch") for line in log if line["kind"] == "start"), 0)
        last = (last - 1) // each * each if isinstance(each, int) and each > 0 else 0
    steps = [line["step"] for line in log if line["kind"] == "epoch"]
    if max(steps, default=0) < last or (ended and not path.read_bytes().endswith(b"\n")):
        raise files.Damaged(
            f"{path} is damaged: it does not come to step {last}, where the {'run' if ended else 'epoch'} ended"
        )


def _sealed(path: Path) -> None:
    if files.SEAL not in files.read_text(path):
        warnings.warn(f"{path} has no checksum: damage is not seen", stacklevel=2)
    files.read_json(path)


def _results(folder: Path, runs: int) -> None:
    """The rows, of every run at least one; none where the run is not finished."""
    path = folder / "results.jsonl"
    rows = files.read_lines(path)
    if path.exists() and not rows:
        raise files.Damaged(f"{path} is empty: codistill resume {folder} writes it again")
    if rows and files.SEAL not in files.read_text(path):
        warnings.warn(f"{path} has no checksums: damage is not seen", stacklevel=2)
    if rows and len({row.get("number", 0) for row in rows}) < runs:
        raise files.Damaged(f"{path} has not the results of all {runs} runs: codistill resume {folder}")


__all__ = ["Verify", "verify"]
