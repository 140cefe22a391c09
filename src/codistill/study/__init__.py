"""A study: many runs side by side, methods times seeds, against networks trained alone."""

import dataclasses
import itertools
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from codistill import files
from codistill.checkpoint import read_runs
from codistill.data import read_once
from codistill.data.examples import DataSet
from codistill.description import versions as versions
from codistill.locks import Held, locked
from codistill.run import RATES, Run, told_apart
from codistill.study.beforehand import check_rows
from codistill.study.costs import are_whole, declared_cost, measure_costs, networks_trained, timing_steps
from codistill.study.differences import Key
from codistill.study.disputed import keep_examples
from codistill.study.doubts import nothing_learnt_in, row_doubts
from codistill.study.entries import Study as Study
from codistill.study.in_python import Factory, in_python
from codistill.study.rows import Row as Row
from codistill.study.summary import Summary as Summary, summary as summary
from codistill.study.traffic import traffic_of_rows
from codistill.training.decisions import Decisions, read_decisions
from codistill.training.fleet import peers_by_run
from codistill.training.given import Given
from codistill.training.learnt import Doubt, read_doubts
from codistill.training.loop import resume, train
from codistill.training.records import Diverged, Record, epochs_of, logged, read_diverged, write_diverged
from codistill.training.requirements import OWN
from codistill.training.results import result_from_json
from codistill.training.sizes import sizes_of

Teachers = Mapping[tuple[int, int], Mapping[str, Path]]  # by seed and number of the training, folders by name
Kept = TypeVar("Kept")
STACKED_NETWORKS = 400  # at most in one part, unless one entry has more

POLLED = 0.5  # seconds between two looks at what another process does


@dataclass(frozen=True)
class Part:
    """Runs that are trained as one, in a folder of their own."""

    folder: Path
    runs: tuple[Run, ...]


def parts(study: Study, folder: Path, apart: Sequence[str] = RATES) -> list[Part]:
    """The parts of a study, those that need a teacher from it last.

    Args:
        study: all of it.
        folder: its.
        apart: settings whose values are kept apart, though a fleet may have several: comparisons that are on disk have
            parts by rate and decay.
    """
    fleets: dict[tuple[bool, object], list[Run]] = {}
    for entry, (seed, again) in itertools.product(study.entries, study.trainings):
        run = entry.run.replace(seed=seed, retraining=again)
        shared = tuple(str(v) for k, v in run.as_dict().items() if k in apart or k not in OWN)
        fleets.setdefault((bool(entry.waits), shared if study.stacked else run), []).append(run)
    ordered = sorted(fleets.items(), key=lambda item: item[0][0])
    chunks = (chunk for _, runs in ordered for chunk in _chunks(runs))
    return [Part(folder / "parts" / f"{number:03d}", chunk) for number, chunk in enumerate(chunks)]


def _chunks(runs: Sequence[Run]) -> Iterator[tuple[Run, ...]]:
    """The runs in order, in portions of about `STACKED_NETWORKS`; the runs of one entry stay together."""
    portion: list[Run] = []
    for _, group in itertools.groupby(runs, key=lambda run: run.replace(seed=0)):
        entry = list(group)
        if portion and sum(run.peers for run in (*portion, *entry)) > STACKED_NETWORKS:
            yield tuple(portion)
            portion = []
        portion += entry
    yield tuple(portion)


def compare(
    study: Study,
    folder: str | Path,
    *,
    go_on: bool = False,
    command: str = "",
    dataset: DataSet | None = None,
    networks: Sequence[Factory] | None = None,
) -> Generator[Record, None, None]:
    """Run a study; write ``results.jsonl``, ``costs.json`` and ``summary.json``.

    Records are those of `train`; their facts also say which part it is of how many, about which share of all work, and
    as how many steps of that part timing each method by itself takes at the end (``timing_steps``). What can be known
    to be wrong with any row is an error before the first is trained. After closing the generator, ``go_on=True``
    resumes from the folder. Several processes may share it: each takes parts that no other has, and waits for the rest.
    A run that diverges has no results, and the others go on.

    Args:
        study: what is compared.
        folder: of all that is written.
        go_on: resume what is in the folder.
        command: that asked for it, for the report.
        dataset: in place of the one that the study names.
        networks: functions that build a network each, one for all peers or one for each, in place of those that the
            study names; see `codistill.study.in_python.in_python`.

    Raises:
        FileExistsError: the folder holds something else.
        Diverged: all runs have.
    """
    folder = Path(folder)
    if not go_on and not is_free(folder):
        raise FileExistsError(f"{folder} already exists: resume it, or choose another name")
    with read_once():
        study, given = in_python(study, dataset, networks)
        todo = parts(study, folder)
        if files.read_if_whole(folder / "study.json") is None:
            check_rows(study, given)
        timing = [timing_steps(study, part.runs) for part in todo]
        for number, record in enumerate(train_parts(study, todo, given)):
            if number == 0:  # only now: invalid settings leave no folder behind
                begin(study, folder, command)
            facts = {**record.facts, "timing_steps": timing[record.facts["part"] - 1]}
            yield dataclasses.replace(record, facts=facts)
        while True:
            try:
                with locked(folder):
                    files.remove_drafts(folder)
                    yield from _finish(study, folder, todo, given, command)
                return
            except Held as held:
                yield _waiting(held)


def train_parts(study: Study, todo: Sequence[Part], given: Given) -> Iterator[Record]:
    """Train every part that is not finished; each record's facts say which part of how many it is of."""
    names, work = _names(study), [sum(map(declared_cost, part.runs)) for part in todo]
    of_all = {"parts": len(todo), "all_networks": networks_trained(study)}
    of_parts = [
        {
            **of_all,
            "part": number,
            "methods": list(dict.fromkeys(names[_like(run)] for run in part.runs)),
            "work": work[number - 1] / sum(work),
        }
        for number, part in enumerate(todo, start=1)
    ]
    for number, record in _all_trained(study, todo, _teacher_folders(study, todo), given):
        yield dataclasses.replace(record, facts={**record.facts, **of_parts[number - 1]})


def _all_trained(study: Study, todo: Sequence[Part], teachers: Teachers, given: Given) -> Iterator[tuple[int, Record]]:
    """Train every part that is not finished, but for those that other processes train: these are waited for.

    Each record comes with the number of its part, from 1. Where such a process ends before its part does, the part is
    trained here.
    """
    left = dict(enumerate(todo, start=1))
    while left:
        held: Held | None = None
        for number, part in list(left.items()):
            folders = teachers[_first(part)]
            if not is_ready(study, part, folders):
                continue
            try:
                for record in trained(study, part, {**given, "teachers": folders}):
                    yield number, record
                del left[number]
            except Held as error:
                held = error
        if left:
            yield next(iter(left)), _waiting(held)


def _waiting(held: Held | None) -> Record:
    """Some time has passed, in which another process had what is needed."""
    time.sleep(POLLED)
    return Record("waiting", 0, 0, facts={"for": str(held or "another process")})


def is_ready(study: Study, part: Part, teachers: Mapping[str, Path]) -> bool:
    """Whether the networks trained alone that a part needs are there, in the folders of its `teachers_for`."""
    likes = {_like(run) for run in part.runs}
    waits = {name for entry in study.entries if _like(entry.run) in likes for name in entry.waits}
    return all(finished(teachers[str(name)]) for name in waits)


def begin(study: Study, folder: Path, command: str) -> None:
    """Write ``study.json``, where it is not there yet.

    Raises:
        FileExistsError: another process has begun another study there.
    """
    about = folder / "study.json"
    if files.read_if_whole(about) is None:
        files.write_json(about, {**study.as_dict(), "command": command, "versions": versions()})
    elif load(folder) != study:
        raise FileExistsError(f"{folder} holds a comparison with other settings: choose another name")


def _finish(
    study: Study,
    folder: Path,
    todo: Sequence[Part],
    given: Given,
    command: str,
) -> Generator[Record, None, None]:
    """The files of the whole study."""
    begin(study, folder, command)
    rows = list(results_of_parts(study, todo))
    lost, doubted = dict(diverged_in(study, todo)), dict(_doubts(study, todo))
    if not rows:
        raise Diverged(f"{folder}: all runs have diverged: {next(iter(lost.values()), '')}")
    files.write_lines(folder / "results.jsonl", rows)
    costs = files.read_if_whole(folder / "costs.json")
    if costs is None or not are_whole(costs, study):
        if not study.quick:
            yield Record("timing", 0, 0)
        costs = measure_costs(study, _teacher_folders(study, todo), given)
        files.write_json(folder / "costs.json", costs)
    decisions = dict(_decisions(study, todo))
    ended = [(row["entry"], row["seed"], row.get("retraining") or 0) for row in rows]
    table = dataclasses.replace(
        summary(study, list(map(result_from_json, rows)), costs, decisions, lost),
        settings={k: v for k, v in study.base.as_dict().items() if k not in ("method", "peers", "seed", "retraining")},
        command=command or files.read_json(folder / "study.json").get("command", ""),
        versions=versions(),
        question=study.question,
        traffic=traffic_of_rows(study, todo),
        sizes=sizes_of(todo[0].folder),
        doubts=row_doubts(study, doubted),
        nothing_learnt=nothing_learnt_in(study, ended, decisions, doubted),
    )
    keep_examples(study, decisions, folder, given.get("dataset"))
    files.write_json(folder / "summary.json", table.as_dict())
    yield Record("summary", 0, 0, facts=dict(table.as_dict()))


def trained(study: Study, part: Part, given: Given) -> Generator[Record, None, None]:
    """Train or resume a part; nothing where it is finished. Where all of its runs diverge, that is its result.

    Raises:
        Held: another process does.
    """
    if finished(part.folder):
        return
    if (part.folder / "runs.json").exists():
        records = resume(part.folder, part=study.part, **given)
    else:
        records = train(part.runs, part.folder, part=study.part, **given)
    try:
        yield from logged(records, part.folder)
    except Diverged as error:
        lost = {number: str(error) for number in range(len(part.runs))}
        write_diverged(part.folder, lost)
        yield Record("diverged", 0, 0, facts={"diverged": lost})


def finished(folder: Path) -> bool:
    """Whether a run's folder has its results, whole; what is missing or damaged is written again on resuming."""
    try:
        rows = files.read_lines(folder / "results.jsonl") or read_diverged(folder)
        return bool(rows) and read_decisions(folder) is not None and read_doubts(folder) is not None
    except files.Damaged:
        return False


def is_free(folder: Path) -> bool:
    """Whether a comparison may begin there: nothing is there, or one that ended before its first step."""
    return not folder.exists() or all(path.name == "parts" or path.name[0] == "." for path in folder.iterdir())


def results_of_parts(study: Study, todo: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """The rows of all parts, each with its entry."""
    names = _names(study)
    for part in todo:
        runs = list(peers_by_run(part.runs))
        for row in files.read_lines(part.folder / "results.jsonl"):
            yield {"entry": names[_like(runs[row["number"]])], **row}


def diverged_in(study: Study, todo: Sequence[Part]) -> Iterator[tuple[Key, str]]:
    """The runs that have diverged, and why."""
    return _by_training(study, todo, read_diverged)


def _decisions(study: Study, todo: Sequence[Part]) -> Iterator[tuple[Key, Decisions]]:
    """The decisions of all parts."""
    return _by_training(study, todo, read_decisions)


def _doubts(study: Study, todo: Sequence[Part]) -> Iterator[tuple[Key, list[Doubt]]]:
    """What speaks against the trainings of all parts."""

    def read(folder: Path) -> dict[int, list[Doubt]]:
        found = read_doubts(folder)
        return {number: [doubt for doubt in found if doubt.number == number] for number in {d.number for d in found}}

    return _by_training(study, todo, read)


def _by_training(
    study: Study, todo: Sequence[Part], read: Callable[[Path], Mapping[int, Kept]]
) -> Iterator[tuple[Key, Kept]]:
    """What the folders of all parts hold of each run, by its entry, its seed and the number of its training."""
    names = _names(study)
    for part in todo:
        runs = list(peers_by_run(part.runs))
        for number, kept in read(part.folder).items():
            yield (names[_like(runs[number])], runs[number].seed, runs[number].retraining), kept


def _like(run: Run) -> Run:
    """What all trainings of an entry have in common."""
    return run.replace(seed=0, retraining=0)


def _names(study: Study) -> dict[Run, str]:
    return {_like(entry.run): entry.name for entry in study.entries}


def _first(part: Part) -> tuple[int, int]:
    """The seed and the number of a part's first training."""
    return min((run.seed, run.retraining) for run in part.runs)


def _teacher_folders(study: Study, todo: Sequence[Part]) -> dict[tuple[int, int], dict[str, Path]]:
    """For each training, the folders of the networks trained alone in it, by the names of teachers."""
    folders = {run: part.folder for part in todo for run in part.runs}
    names = {name for entry in study.entries for name in entry.waits}
    return {
        (seed, again): {
            str(name): folders[study.alone(name).run.replace(seed=seed, retraining=again)] for name in names
        }
        for seed, again in study.trainings
    }


def teachers_for(study: Study, todo: Sequence[Part], part: Part) -> Mapping[str, Path]:
    """The folders of a part's teachers, by name."""
    return _teacher_folders(study, todo)[_first(part)]


def teachers_of(folder: Path) -> Mapping[str, Path]:
    """The folders of the teachers of a comparison's part, by name; empty for a run outside a comparison."""
    home = folder.parent.parent
    if not (home / "study.json").exists():
        return {}
    study = load(home)
    todo = parts(study, home)
    part = next((part for part in todo if part.folder.name == folder.name), None)
    return {} if part is None else teachers_for(study, todo, part)


def _written(folder: Path) -> Iterator[tuple[Path, list[Run], dict[int, str]]]:
    """Of each part its folder, its runs, and the entries of those that have results, by number.

    They come from the files alone: the modules that a study names are not imported.
    """
    rows = iter(files.read_lines(folder / "results.jsonl"))  # those of all parts, in their order
    for path in sorted((folder / "parts").glob("*/runs.json")):
        part = path.parent
        own, runs = files.read_lines(part / "results.jsonl"), list(peers_by_run(read_runs(part)))
        entries: dict[Any, Any] = {row.get("number"): next(rows, row).get("entry") for row in own}
        if not entries.keys() <= set(range(len(runs))) or not all(isinstance(e, str) for e in entries.values()):
            raise files.Damaged(f"{part}: its results are not those of its runs, or not those of {folder}")
        yield part, runs, entries


def log_of(folder: Path) -> list[Mapping[str, Any]]:
    """All epochs' lines of a study, each with the name of its entry as its method."""
    lines: list[Mapping[str, Any]] = []
    for part, runs, entries in _written(folder):
        names = told_apart(runs)
        lines += epochs_of(part, {names[runs[number]]: entry for number, entry in entries.items()})
    return lines


def decisions_of(folder: Path) -> Mapping[Key, Decisions]:
    """What all networks of a study decided, by entry, seed and number of the training."""
    return {
        (entries[number], runs[number].seed, runs[number].retraining): decisions
        for part, runs, entries in _written(folder)
        for number, decisions in read_decisions(part).items()
    }


def load(folder: str | Path) -> Study:
    """The study of a folder.

    Raises:
        FileNotFoundError: it is not the folder of a study.
    """
    path = Path(folder) / "study.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a comparison: {path} is missing")
    values = files.read_json(path)
    try:
        return Study.from_dict(values)
    except (TypeError, AttributeError, KeyError) as error:
        raise files.Damaged(f"{path} is damaged: {files.said(error)}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
