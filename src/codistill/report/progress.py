"""The progress of records on a terminal: a live bar, or a line now and then where there is no terminal."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from codistill.training.records import Record

PLAIN_LINES = 5  # per training, where there is no terminal


class Interrupted(Exception):
    """The person pressed Ctrl-C; the records were closed at the end of a step."""

    def __init__(self, record: Record | None) -> None:
        self.record = record
        super().__init__("interrupted" if record is None else f"stopped after step {record.step} of {record.steps}")


def watch(records: Iterator[Record], console: Console) -> Record:
    """Follow records to their end, and give the last one.

    Raises:
        Interrupted: on Ctrl-C, after the generator has been closed (and so has saved where it was). A second Ctrl-C
            ends at once.
    """
    last: Record | None = None
    with _interrupt() as interrupted, _bar(console) as bar:
        shown = _Shown(console, bar)
        for record in records:
            last = record
            shown.show(record)
            if interrupted:
                records.close()  # type: ignore[attr-defined]
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
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


class _Shown:
    def __init__(self, console: Console, bar: Progress) -> None:
        self.console, self.bar = console, bar
        self.task: Any = None
        self.said = 0

    def show(self, record: Record) -> None:
        facts = record.facts
        if record.kind == "start":
            self._start(record)
        elif record.kind == "step":
            self.bar.update(self.task, completed=record.step)
        elif record.kind == "epoch":
            note = _losses(record)
            self.bar.update(self.task, note=note)
            if not self.console.is_terminal and record.step * PLAIN_LINES // record.steps > self.said:
                self.said = record.step * PLAIN_LINES // record.steps
                self.console.print(f"  step {record.step} of {record.steps}: {note}")
        elif record.kind == "timing":
            self.console.print("Timing each method separately ...")
        elif record.kind == "end" and "parts" in facts and facts["part"] == facts["parts"]:
            self.bar.stop()

    def _start(self, record: Record) -> None:
        facts = record.facts
        self.said = 0
        part = f"Part {facts['part']} of {facts['parts']}: " if "parts" in facts else ""
        what = f"{facts['networks']} networks" + (f", {', '.join(facts['methods'])}" if "methods" in facts else "")
        self.console.print(f"{part}{what} on {facts['device']}; {executed(facts)}")
        if record.step:
            self.console.print(f"  resuming from step {record.step} of {record.steps}")
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task(
            part.removesuffix(": ") or "training", total=record.steps, completed=record.step, note=""
        )


def executed(facts: Mapping[str, Any]) -> str:
    """How peers are run, and why, in words."""
    how = {"stack": "like networks run as one stack", "loop": "networks run one after the other"}[facts["execute"]]
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
