"""Records of what happens in a training, the files that they become, and the error that ends it."""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codistill.methods import Terms
from codistill.run import Run
from codistill.training.decisions import Decisions, write_decisions


class Diverged(ArithmeticError):
    """A loss is no longer a number."""


def diverged(run: Run, what: str) -> Diverged:
    """The error of a run, with what may help."""
    return Diverged(
        f"{run.name}: {what}: lower learning_rate={run.learning_rate:g}, or set clip (now {run.clip}) or warmup "
        f"(now {run.warmup:g})"
    )


@dataclass(frozen=True)
class Record:
    """What happened.

    Attributes:
        kind: ``start | step | epoch | checkpoint | end``.
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
    """Pass records on, and write ``log.jsonl``, ``decisions.safetensors`` and ``results.jsonl`` on the way.

    Lines of steps that a resumed run does again are dropped first.
    """
    path = Path(folder) / "log.jsonl"
    try:
        for record in records:
            if record.kind == "start":
                kept = [line for line in read_lines(path) if line["step"] <= record.step]
                write_lines(path, [*kept, {"kind": "start", "step": record.step, **record.facts}])
            elif record.kind == "epoch":
                with path.open("a", encoding="utf-8") as log:
                    log.writelines(json.dumps(line) + "\n" for line in record.lines)
            elif record.kind == "end":
                if record.decisions:
                    write_decisions(Path(folder), record.decisions)
                write_lines(Path(folder) / "results.jsonl", record.lines)
            yield record
    finally:
        records.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; none where there is no file. A last line that was cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def epochs_of(folder: Path, methods: Mapping[str, str]) -> list[dict[str, Any]]:
    """The epochs' lines of a folder's log, each with what the method of its run is called."""
    lines = read_lines(folder / "log.jsonl")
    return [{**line, "method": methods[line["run"]]} for line in lines if line["kind"] == "epoch"]


def write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """A JSON-lines file, whole or not at all."""
    draft = path.with_suffix(".part")
    draft.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    draft.replace(path)
