"""The progress of records: a live bar on a terminal, a line now and then where there is none, or JSON lines."""

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from codistill.jsonable import from_json, to_json
from codistill.methods.parts.terms import called
from codistill.report.estimate import Estimate, Estimator, duration, said_of
from codistill.report.interruption import Interrupted, signals
from codistill.report.opening import opening
from codistill.training.records import Record
from codistill.training.sizes import Sizes

PLAIN_LINES = 5  # per training, where there is no terminal
LONG = 60.0  # seconds from which on an estimate is printed unasked
SILENCE = 30.0  # seconds at most between two lines, where there is no terminal

Form = Literal["lines", "quiet", "json"]


def watch(records: Generator[Record, None, None], console: Console, form: Form = "lines", dry: bool = False) -> Record:
    """Follow records to their end, and give the last one.

    Args:
        records: of a training, or of a comparison.
        console: to print to.
        form: ``lines`` for people; ``quiet`` prints nothing; ``json`` a record per line, see `line_of`.
        dry: end as soon as there is an estimate.

    Raises:
        Interrupted: on SIGINT, SIGTERM or SIGHUP, after the generator has been closed (and so has saved where it was).
    """
    last: Record | None = None
    with signals() as stop, _bar(console, form) as bar:
        display = Display(bar)
        show = {"lines": display.show, "quiet": _pass_over, "json": _print_json}[form]
        estimator = Estimator()
        try:
            for last in records:
                stop.begun = True
                show(last)
                if (estimate := estimator.see(last)) and (dry or estimate.seconds >= LONG):
                    say_estimate(estimate, console, form)
                if estimate and dry:
                    records.close()
                    break
                if stop.number:
                    records.close()
                    raise Interrupted(stop.number, last)
        except Exception as error:
            if stop.number:  # such as of workers, which the same signal has ended
                raise Interrupted(stop.number, last) from error
            raise
    assert last is not None
    return last


def _bar(console: Console, form: Form) -> Progress:
    steps = ("{task.description}", BarColumn(bar_width=24), MofNCompleteColumn(), "steps")
    times = (TimeElapsedColumn(), "left", TimeRemainingColumn())
    shown = (*steps, *times, "{task.fields[note]}")
    return Progress(*shown, console=console, disable=form != "lines" or not console.is_terminal, transient=True)


def _pass_over(record: Record) -> None:
    """Print nothing."""


def _print_json(record: Record) -> None:
    if record.kind != "step":  # whose terms lie on the device
        print(json.dumps(line_of(record), default=str), flush=True)


def say_estimate(estimate: Estimate, console: Console, form: Form) -> None:
    """Print it in the form of everything else."""
    if form == "json":
        print(json.dumps({"kind": "estimate", **to_json(estimate)}), flush=True)
    else:
        console.print(said_of(estimate), markup=False)


def line_of(record: Record) -> Mapping[str, Any]:
    """A record as JSON: its kind, where it is, its facts and lines; steps are left out."""
    where = {"kind": record.kind, "step": record.step, "steps": record.steps}
    return {**where, **to_json(record.facts, finite=True), "lines": to_json(record.lines, finite=True)}


class Display:
    """Shows records on a bar's console, one after the other.

    Args:
        bar: hidden where there is no terminal; lines take its place.
        clock: seconds.
    """

    def __init__(self, bar: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self.bar, self.clock = bar, clock
        self.opened: Sequence[str] = ()  # what was said of the data and the settings
        self.note, self.lines = "", 0
        self.begun = self.printed = clock()
        self.first, self.samples = 0, 0.0  # the step that it began at, and a network's samples in a step

    def show(self, record: Record) -> None:
        """Show what happened."""
        console, facts = self.bar.console, record.facts
        for what in dict.fromkeys(facts.get("diverged", {}).values()):
            console.print(f"  Diverged: {what}", markup=False)
        if record.kind == "start":
            self._start(record)
        elif record.kind == "step":
            self.bar.update(self.bar.task_ids[-1], completed=record.step, note=self._noted(record))
            if not console.is_terminal and self.clock() - self.printed >= SILENCE:
                self._line(record)
        elif record.kind == "epoch":
            self._epoch(record)
        elif record.kind == "rewind":
            console.print(f"  back to step {record.step}: {facts['why']}", markup=False)
        elif record.kind == "part":
            console.print(f"Part {facts['part']} of {facts['parts']} is trained: {', '.join(facts['methods'])}")
        elif record.kind == "timing":
            console.print("Timing each method separately ...")
        elif record.kind == "end" and "parts" in facts and facts["part"] == facts["parts"]:
            self.bar.stop()

    def _start(self, record: Record) -> None:
        facts, console = record.facts, self.bar.console
        part = f"Part {facts['part']} of {facts['parts']}" if "parts" in facts else ""
        said = opening({**facts["settings"], **facts.get("several", {})}, from_json(Sizes, facts["sizes"]))
        if said != self.opened:
            console.print("\n".join(said), markup=False)
            self.opened = said
        what = f"{facts['networks']} networks" + (f", {', '.join(facts['methods'])}" if "methods" in facts else "")
        seeds = f", seeds {' '.join(map(str, facts['seeds']))}" if "methods" in facts else ""
        console.print(
            f"{part}{': ' if part else ''}{what}{seeds}, on {facts['device']}; {executed(facts)}", markup=False
        )
        if wrong := facts.get("noisy_labels"):
            console.print(f"  noise: {sum(wrong) / len(wrong):.1%} of the training labels are wrong")
        if record.step:
            console.print(f"  resuming from step {record.step} of {record.steps}")
        for before in self.bar.task_ids:
            self.bar.remove_task(before)
        self.bar.add_task(part or "training", total=record.steps, completed=record.step, note="")
        self.begun = self.printed = self.clock()
        self.first, self.note, self.lines = record.step, "", record.step * PLAIN_LINES // max(record.steps, 1)
        self.samples = float(facts["settings"]["batch"] + facts["settings"].get("unlabelled", 0))

    def _epoch(self, record: Record) -> None:
        self.note, lines = _figures(record), record.step * PLAIN_LINES // record.steps
        if not self.bar.console.is_terminal and lines > self.lines:
            self._line(record)
        self.lines = max(lines, self.lines)
        self.bar.update(self.bar.task_ids[-1], note=self._noted(record))

    def _line(self, record: Record) -> None:
        """A line in place of the bar."""
        self.bar.console.print(f"  step {record.step} of {record.steps}: {self._noted(record, left=True)}")
        self.printed = self.clock()

    def _noted(self, record: Record, left: bool = False) -> str:
        """The newest figures, how fast it goes, and where no bar says so how long it takes still."""
        seconds, steps = self.clock() - self.begun, record.step - self.first
        known = [self.note] if self.note else []
        if steps and seconds > 0:
            known.append(f"{self.samples * steps / seconds:,.0f} samples/s")
            if left and record.step < record.steps:
                known.append(f"{duration(seconds / steps * (record.steps - record.step))} left")
        return ", ".join(known)


def executed(facts: Mapping[str, Any]) -> str:
    """How peers are run, and why, in words."""
    how = {
        "stack": "like networks run as one stack",
        "loop": "networks run one after the other",
        "channels_last": "networks run one after the other, channels last in memory",
    }[facts["execute"]]
    names = {"stack": "the stack", "loop": "the loop", "channels_last": "channels last"}
    how += _against(facts.get("timing") or {}, facts["execute"], names)
    if timing := facts.get("thread_timing"):
        threads = str(facts["threads"])
        counted = {count: "one thread" if count == "1" else f"{count} threads" for count in timing}
        how += f", with {counted[threads]}" + _against(timing, threads, counted)
    return how


def _against(timing: Mapping[str, float], chosen: str, names: Mapping[str, str]) -> str:
    """How much faster what was chosen is than everything else that was timed."""
    factors = {name: f"{timing[name] / timing[chosen]:.1f}" for name in timing if name != chosen}
    said = [f"{'' if f == '1.0' else f'{f} times '}as fast as {names[name]}" for name, f in factors.items()]
    return f" ({', '.join(said)})" if said else ""


def _figures(record: Record) -> str:
    """The mean of every term over all networks that have it, and of their validation accuracies."""
    sums: dict[str, list[float]] = {}
    valid: list[float] = []
    for line in record.lines:
        valid += line.get("valid_accuracy", ())
        for name, values in line["terms"].items():
            sums.setdefault(name, []).extend(values)
    said = [f"{called(name)} {sum(v) / len(v):.3f}" for name, v in sums.items()]
    return ", ".join([*said, *([f"valid {sum(valid) / len(valid):.2%}"] if valid else [])])
