"""A study: many runs side by side, methods times seeds, against networks trained alone."""

import itertools
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from codistill.run import Run
from codistill.study.costs import measure_costs
from codistill.study.entries import BASELINE, Entry, Study
from codistill.study.summary import Rows, summary
from codistill.training.loop import resume, train
from codistill.training.records import Record, logged, read_lines
from codistill.training.requirements import OWN
from codistill.training.slots import peers_by_run

STACKED_NETWORKS = 400  # in one part at the most, unless one entry has more


@dataclass(frozen=True)
class Part:
    """Runs that are trained as one, in a folder of their own."""

    folder: Path
    runs: tuple[Run, ...]
    waits: bool  # for the networks trained alone


def parts(study: Study, folder: Path) -> list[Part]:
    """The parts of a study, those that need a teacher from it last."""
    fleets: dict[tuple[object, ...], list[Run]] = {}
    for entry in study.entries:
        waits = bool(entry.waits)
        for seed in study.seeds:
            run = entry.run.replace(seed=seed)
            shared = tuple(str(v) for k, v in run.as_dict().items() if k not in OWN)
            key = (waits, shared) if study.stacked else (waits, run)
            fleets.setdefault(key, []).append(run)
    ordered = sorted(fleets.items(), key=lambda item: bool(item[0][0]))
    chunks = [(bool(key[0]), chunk) for key, runs in ordered for chunk in _chunks(runs)]
    return [Part(folder / "parts" / f"{number:03d}", chunk, waits) for number, (waits, chunk) in enumerate(chunks)]


def _chunks(runs: Sequence[Run]) -> Iterator[tuple[Run, ...]]:
    """The runs in their order, in portions of about `STACKED_NETWORKS`; the runs of one entry stay together."""
    portion: list[Run] = []
    for _, group in itertools.groupby(runs, key=lambda run: run.replace(seed=0)):
        entry = list(group)
        if portion and sum(run.peers for run in (*portion, *entry)) > STACKED_NETWORKS:
            yield tuple(portion)
            portion = []
        portion += entry
    yield tuple(portion)


def compare(study: Study, folder: str | Path, *, go_on: bool = False, command: str = "") -> Iterator[Record]:
    """Run a study; write ``results.jsonl``, ``costs.json`` and ``summary.json``.

    Records are those of `train`; the facts of a start also say which part it is of how many. Closing the generator
    leaves a folder that ``go_on=True`` goes on from.

    Raises:
        FileExistsError: the folder holds something already.
    """
    folder = Path(folder)
    if not go_on and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is there already: resume it, or choose another name")
    begun = (folder / "study.json").exists()
    todo = parts(study, folder)
    teachers = _teacher_folders(study, todo)
    for number, part in enumerate(todo):
        if (part.folder / "results.jsonl").exists():
            continue
        seeds = {run.seed for run in part.runs}
        known = teachers[min(seeds)] if part.waits else {}
        records = (
            resume(part.folder, teachers=known, part=study.part)
            if (part.folder / "runs.json").exists()
            else train(part.runs, part.folder, teachers=known, part=study.part)
        )
        for record in logged(records, part.folder):
            if not begun:  # only now: settings that do not fit leave no folder behind
                text = json.dumps({**study.as_dict(), "command": command, "versions": versions()}, indent=1) + "\n"
                (folder / "study.json").write_text(text, encoding="utf-8")
                begun = True
            where = {"part": number + 1, "parts": len(todo), "methods": sorted({r.method for r in part.runs})}
            yield Record(record.kind, record.step, record.steps, record.terms, record.lines, {**record.facts, **where})
    names = {entry.run: entry.name for entry in study.entries}
    rows = [
        {"entry": names[runs[row["number"]].replace(seed=study.base.seed)], **row}
        for part in todo
        for runs in [list(peers_by_run(part.runs))]
        for row in read_lines(part.folder / "results.jsonl")
    ]
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    costs = folder / "costs.json"
    if not costs.exists():
        if not study.quick:
            yield Record("timing", 0, 0)
        costs.write_text(json.dumps(measure_costs(study, teachers), indent=1) + "\n", encoding="utf-8")
    found = {
        **summary(study, rows, json.loads(costs.read_text(encoding="utf-8"))),
        "settings": {k: v for k, v in study.base.as_dict().items() if k not in ("method", "peers", "seed")},
        "command": command or json.loads((folder / "study.json").read_text(encoding="utf-8")).get("command", ""),
        "versions": versions(),
    }
    (folder / "summary.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    yield Record("summary", 0, 0, facts=found)


def _teacher_folders(study: Study, todo: Sequence[Part]) -> dict[int, dict[str, Path]]:
    """Of each seed, the folders of the networks trained alone, by the names that teachers go by."""
    folders = {run: part.folder for part in todo for run in part.runs}
    names = {name for entry in study.entries for name in entry.waits}
    rows = {name: study.entries[0] if name == BASELINE else study.alone(name) for name in names}
    return {seed: {name: folders[rows[name].run.replace(seed=seed)] for name in names} for seed in study.seeds}


def teachers_of(folder: Path) -> dict[str, Path]:
    """For a part of a comparison, where its teachers are; nothing for a run of its own."""
    home = folder.parent.parent
    if not (home / "study.json").exists():
        return {}
    study = load(home)
    todo = parts(study, home)
    part = next((part for part in todo if part.folder.name == folder.name), None)
    return {} if part is None else _teacher_folders(study, todo)[min(run.seed for run in part.runs)]


def log_of(study: Study, folder: Path) -> Rows:
    """All epochs' lines, each with the name of its entry as its method."""
    names = {entry.run.replace(seed=0): entry.name for entry in study.entries}
    lines: Rows = []
    for part in parts(study, folder):
        entries = {run.name: names[run.replace(seed=0)] for run in part.runs}
        found = read_lines(part.folder / "log.jsonl")
        lines += [{**line, "method": entries[line["run"]]} for line in found if line["kind"] == "epoch"]
    return lines


def load(folder: str | Path) -> Study:
    """The study of a folder.

    Raises:
        FileNotFoundError: it is no study's folder.
    """
    path = Path(folder) / "study.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a comparison: {path} is missing")
    return Study.from_dict(json.loads(path.read_text(encoding="utf-8")))


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    return {"codistill": version("codistill"), "torch": torch.__version__, "python": platform.python_version()}


__all__ = ["Entry", "Part", "Study", "compare", "load", "log_of", "parts", "summary", "teachers_of", "versions"]
