"""A training of several processes: all end at the same step, and one of them speaks."""

import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codistill.cli.finish import end, follow

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.exchange import Mesh
    from codistill.report.progress import Form
    from codistill.training.records import Record


def follow_together(
    mesh: "Mesh",
    records: Generator["Record", None, None],
    folder: Path,
    console: "Console",
    form: "Form",
    track: Sequence[str],
) -> None:
    """As `follow`, of a run: the first process shows and writes everything, the others train along."""
    from codistill.report.interruption import Interrupted
    from codistill.training.records import logged

    if mesh.size == 1:
        end(follow(logged(records, folder), folder, console, form, track=track))
    elif mesh.is_first:
        end(follow(_in_step(logged(records, folder), mesh), folder, console, form, track=track))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the first says them
            try:
                for _ in _in_step(records, mesh):
                    pass
            except Interrupted as stop:
                raise SystemExit(stop.exit_code) from None


def _in_step(records: Generator["Record", None, None], mesh: "Mesh") -> Generator["Record", None, None]:
    """Pass records on; after a signal to any of the processes, all of them stop after the same step.

    Raises:
        Interrupted: they have stopped, with a checkpoint.
    """
    import signal

    from codistill.report.interruption import Interrupted, signals

    with signals() as stop:
        for record in records:
            stop.begun = True
            yield record
            if stop.number:
                mesh.ask_to_stop()
            if record.kind == "step" and mesh.stops():
                records.close()
                raise Interrupted(stop.number or signal.SIGTERM, record)
