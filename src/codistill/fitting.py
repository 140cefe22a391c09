"""Train to the end from Python, with all that the command line writes."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from rich.console import Console

from codistill import report
from codistill.report.interruption import Interrupted
from codistill.report.progress import watch
from codistill.run import Run
from codistill.study.results import Result, read_results
from codistill.training.given import Given
from codistill.training.loop import train
from codistill.training.records import logged


def fit(
    runs: Run | Sequence[Run],
    folder: str | Path,
    *,
    part: str | None = "test",
    quiet: bool = False,
    **given: Unpack[Given],
) -> list[Result]:
    """Train as ``codistill train`` does: progress, checkpoints, ``log.jsonl``, ``results.jsonl`` and ``report.html``.

    Where the folder holds these runs already, they are resumed. `train` is the same as a generator of records, which
    writes checkpoints alone.

    Args:
        runs: what to train.
        folder: where everything goes.
        part: what to evaluate on at the end, as of `train`.
        quiet: print nothing but warnings, which say what to doubt.
        given: ``dataset``, ``networks`` and ``teachers`` in place of what the runs name, as of `train`.

    Returns: the results of the networks, of the ensembles and of the pairs.

    Raises:
        KeyboardInterrupt: Ctrl-C, once a checkpoint is written, from which the next call goes on.
        ValueError: settings that do not fit each other or the data, or a folder that holds other runs.
    """
    folder = Path(folder)
    records = logged(train(runs, folder, resume=(folder / "runs.json").exists(), part=part, **given), folder)
    try:
        last = watch(records, Console(), "quiet" if quiet else "lines")
    except Interrupted as stop:
        raise KeyboardInterrupt(f"{stop}: the same call resumes") from None
    for doubt in last.facts.get("doubts", ()):
        warnings.warn(str(doubt), stacklevel=2)
    report.write(folder)
    return read_results(folder)
