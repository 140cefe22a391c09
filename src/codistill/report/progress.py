"""The progress of records on a terminal: a live bar, or a line now and then where there is no terminal."""

import signal
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from codistill.training.records import Record

PLAIN_LINES = 5  # per training, where there is no terminal


class Interrupted(Exception):
    """The person pressed Ctrl-C; the records were closed at the end of a step."""

    def __init__(self, record: Record | None) -> None:
        self.record = record
        super().__init__("interrupted" if record is None else f"stopped after step {record.step} of {record.steps}")


def watch(records: Generator[Record, None, None], console: Console) -> Record:
    """Follow records to their end, and give the last one.

    Raises:
        Interrupted: on Ctrl-C, after the generator has been closed (and so has saved where it was). A second Ctrl-C
            ends at once.
    """
    last: Record | None = None
    with _interrupt() as interrupted, _bar(console) as bar:
        for last in records:
            _show(last, bar)
            if interrupted:
                records.close()
                raise Interrupted(last)
    assert last is not None
    return last


@contextmanager
def _interrupt() -> Iterator[list[bool]]:
    """A list that is no longer empty once Ctrl-C was pressed."""
    pressed: list[bool] = []

    def press(_number: int, _frame: FrameType | None) -> None:
        pressed.append(True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _bar(console: Console) -> Progress:
    steps = ("{task.description}", BarColumn(bar_width=24), MofNCompleteColumn(), "steps")
    times = (TimeElapsedColumn(), "left", TimeRemainingColumn())
    shown = (*steps, *times, "{task.fields[note]}")
    return Progress(*shown, console=console, disable=not console.is_terminal, transient=True)


def _show(record: Record, bar: Progress) -> None:
    console, facts = bar.console, record.facts
    if record.kind == "start":
        _start(record, bar)
    elif record.kind == "step":
        bar.update(bar.task_ids[-1], completed=record.step)
    elif record.kind == "epoch":
        task, note, lines = bar.tasks[-1], _losses(record), record.step * PLAIN_LINES // record.steps
        if not console.is_terminal and lines > task.fields["lines"]:
            console.print(f"  step {record.step} of {record.steps}: {note}")
        bar.update(task.id, note=note, lines=lines)
    elif record.kind == "timing":
        console.print("Timing each method separately ...")
    elif record.kind == "end" and "parts" in facts and facts["part"] == facts["parts"]:
        bar.stop()


def _start(record: Record, bar: Progress) -> None:
    facts = record.facts
    part = f"Part {facts['part']} of {facts['parts']}" if "parts" in facts else ""
    what = f"{facts['networks']} networks" + (f", {', '.join(facts['methods'])}" if "methods" in facts else "")
    bar.console.print(f"{part}{': ' if part else ''}{what} on {facts['device']}; {executed(facts)}")
    if wrong := facts.get("noisy_labels"):
        bar.console.print(f"  noise: {sum(wrong) / len(wrong):.1%} of the training labels are wrong")
    if record.step:
        bar.console.print(f"  resuming from step {record.step} of {record.steps}")
    for before in bar.task_ids:
        bar.remove_task(before)
    bar.add_task(part or "training", total=record.steps, completed=record.step, note="", lines=0)


def executed(facts: Mapping[str, Any]) -> str:
    """How peers are run, and why, in words."""
    how = {
        "stack": "like networks run as one stack",
        "loop": "networks run one after the other",
        "channels_last": "networks run one after the other, channels last in memory",
    }[facts["execute"]]
    timing = facts.get("timing") or {}
    if len(timing) == 2:
        ratio = max(timing.values()) / min(timing.values())
        factor = "" if f"{ratio:.1f}" == "1.0" else f"{ratio:.1f} times "
        how += f" ({factor}as fast as the {'loop' if facts['execute'] == 'stack' else 'stack'})"
    return how


def _losses(record: Record) -> str:
    """The mean of every term over all networks that have it."""
    sums: dict[str, list[float]] = {}
    for line in record.lines:
        for name, values in line["terms"].items():
            sums.setdefault(name, []).extend(values)
    return ", ".join(f"{name} {sum(v) / len(v):.3f}" for name, v in sums.items())
