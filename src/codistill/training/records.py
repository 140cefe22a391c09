"""Records of what happens in a training, the files that they become, and the error that ends it."""

import os
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from codistill import files
from codistill.methods import Terms
from codistill.training.decisions import Decisions, write_decisions
from codistill.training.learnt import write_doubts

EPOCH = {"run": str, "method": str, "epoch": int, "terms": dict, "seconds": int | float}  # what a line has
PLOTTED = 1000  # epochs of a run that a report takes from a longer log
CHUNK = 2**16  # bytes of a log that are read at a time, from its end
NUMBER = "line"  # the key of a line's number in its log, from 1


class Diverged(ArithmeticError):
    """A loss is no longer a number.

    Attributes:
        step: in which, counted over all epochs from 0; None where that is not known.
    """

    def __init__(self, said: str, step: int | None = None) -> None:
        super().__init__(said)
        self.step = step


@dataclass(frozen=True)
class Record:
    """What happened.

    Attributes:
        kind: ``start | step | epoch | exchange | checkpoint | rewind | end``.
        step: steps done.
        steps: steps of the whole training.
        terms: of a step, each member's terms ``[P]``, on the device: reading them waits for it.
        lines: of an epoch, one dict for each run, for ``log.jsonl``; of the end, the rows of ``results.jsonl``.
        facts: executor, path of the checkpoint and the like.
        decisions: of the end, those of each run's networks by the run's number, for ``decisions.safetensors``.
    """

    kind: str
    step: int
    steps: int
    terms: list[Terms] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    decisions: dict[int, Decisions] = field(default_factory=dict)


def logged(records: Generator[Record, None, None], folder: str | Path) -> Generator[Record, None, None]:
    """Pass records on, and write ``log.jsonl``, ``decisions.safetensors``, ``doubts.json`` and ``results.jsonl``.

    Lines of steps that a resumed run does again are dropped first.
    """
    folder = Path(folder)
    path, count = folder / "log.jsonl", 0
    try:
        for record in records:
            if record.kind in ("start", "rewind"):
                count = cut_log(path, record.step)
            if record.kind in ("start", "rewind", "exchange", "epoch"):
                told = {"kind": record.kind, "step": record.step, **record.facts}
                lines = record.lines if record.kind == "epoch" else [told]
                files.append_lines(path, [{**line, NUMBER: count + n} for n, line in enumerate(lines, 1)])
                count += len(lines)
            elif record.kind == "checkpoint":
                files.flush(path)
            elif record.kind == "end":
                if record.facts.get("diverged"):
                    write_diverged(folder, record.facts["diverged"])
                if record.decisions:
                    write_decisions(folder, record.decisions)
                write_doubts(folder, record.facts.get("doubts", ()))
                files.write_lines(folder / "results.jsonl", record.lines)
            yield record
    finally:
        records.close()


def write_diverged(folder: Path, runs: Mapping[int, str]) -> None:
    """``diverged.json``: which of a folder's runs have no results, by number, and why."""
    files.write_json(folder / "diverged.json", {str(number): what for number, what in runs.items()})


def read_diverged(folder: Path) -> dict[int, str]:
    """Those runs of a folder, by number; none where there is no such file."""
    path = folder / "diverged.json"
    return {int(number): str(what) for number, what in files.read_json(path).items()} if path.exists() else {}


def cut_log(path: Path, step: int) -> int:
    """Drop the lines of later steps from the end of a log; what comes before them is not read.

    Returns:
        The number of the last line that stays, and of those that were damaged and are dropped with the others: their
        numbers are not given again, so that they are missed.
    """
    if not path.exists():
        return 0
    if path.is_symlink():
        raise OSError(f"{path} is a symbolic link, through which nothing is written: remove it")
    damaged = 0
    with path.open("r+b") as file:
        for start, text in _lines_backwards(file):
            line = _log_line(text)
            if line is not None and line["step"] <= step:
                file.truncate(start + len(text))
                return line[NUMBER] + damaged if NUMBER in line else 0  # earlier versions gave no numbers
            damaged += line is None and text.endswith(b"\n")
        file.truncate(0)
    return damaged


def _lines_backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where each line begins and what it is, from the last to the first."""
    position, rest = file.seek(0, os.SEEK_END), b""
    while position:
        start = max(position - CHUNK, 0)
        file.seek(start)
        first, *others = (file.read(position - start) + rest).splitlines(keepends=True)
        end = start + len(first) + sum(map(len, others))
        for line in reversed(others):
            end -= len(line)
            yield end, line
        position, rest = start, first
    if rest:
        yield 0, rest


def _log_line(text: bytes | str) -> dict[str, Any] | None:
    """A line of a log; None where it was cut short or is damaged."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    try:
        line = files.read_line(text if text.endswith("\n") else "", "")
    except files.Damaged:
        return None
    kinds = {"kind": str, "step": int} | (EPOCH if line.get("kind") == "epoch" else {})
    kinds |= {NUMBER: int} if NUMBER in line else {}
    return line if all(isinstance(line.get(k), t) for k, t in kinds.items()) else None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a folder's log; none where there is none.

    A last line that was cut short is left out, damaged and repeated ones too, with a warning that counts them; another
    counts those that are missing, by the numbers that lines have (those of earlier versions have none).
    """
    path = folder / "log.jsonl"
    if not path.exists():
        return []
    texts = files.read_text(path, errors="replace").splitlines(keepends=True)
    first = next((number for number, text in enumerate(texts) if files.SEAL in text), len(texts))
    lines = [_log_line(text) if n < first or files.SEAL in text else None for n, text in enumerate(texts)]
    missing, before = [], 0  # before which lines some are missing; the number of the last line before a line
    for n, line in enumerate(lines):
        number = before + 1 if line is None else line.pop(NUMBER, 0)
        if number > before + 1:
            missing += [n] * (number - before - 1)
        elif line is not None and 0 < number <= before and lines[n - 1] is not None:
            lines[n] = None
        before = max(number, before)
    damaged = [n for n, line in enumerate(lines) if line is None and texts[n].endswith("\n")]
    many = f"{path}: {{}} of {len(lines)} lines are"
    if damaged:
        said = f"{many.format(len(damaged))} damaged and left out, the first is line {damaged[0] + 1}"
        warnings.warn(said, stacklevel=2)
    if missing:
        said = f"{path}: {len(missing)} lines are missing, the first before line {missing[0] + 1}"
        warnings.warn(said, stacklevel=2)
    return [line for line in lines if line is not None]


def thinned(lines: Sequence[Mapping[str, Any]], most: int = PLOTTED) -> list[Mapping[str, Any]]:
    """Epochs' lines of which each run has no more than about so many: every k-th, and the last."""
    last: dict[str, int] = {}
    for line in lines:
        last[line["run"]] = max(line["epoch"], last.get(line["run"], 0))
    return [line for line in lines if (last[line["run"]] - line["epoch"]) % (-(-last[line["run"]] // most)) == 0]


def epochs_of(folder: Path, methods: Mapping[str, str]) -> list[dict[str, Any]]:
    """The epochs' lines of a folder's log, each with what the method of its run is called."""
    lines = read_log(folder)
    kept = (line for line in lines if line["kind"] == "epoch" and line.get("run") in methods)
    return [{**line, "method": methods[line["run"]]} for line in kept]
