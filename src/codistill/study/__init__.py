"""A study: many runs side by side, methods times seeds, against networks trained alone."""

import dataclasses
import itertools
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codistill.data.examples import DataSet
from codistill.description import versions as versions
from codistill.run import Run
from codistill.study.beforehand import check_rows
from codistill.study.costs import declared_cost, measure_costs, networks_trained
from codistill.study.differences import Key
from codistill.study.entries import Study as Study
from codistill.study.in_python import Factory, in_python
from codistill.study.rows import Row as Row
from codistill.study.summary import Summary as Summary, summary as summary
from codistill.study.traffic import traffic_of_rows
from codistill.training.decisions import Decisions, read_decisions
from codistill.training.fleet import peers_by_run
from codistill.training.given import Given
from codistill.training.loop import resume, train
from codistill.training.records import Record, epochs_of, logged, read_lines, write_lines
from codistill.training.requirements import OWN
from codistill.training.results import result_from_json
from codistill.training.sizes import sizes_of

STACKED_NETWORKS = 400  # at most in one part, unless one entry has more


@dataclass(frozen=True)
class Part:
    """Runs that are trained as one, in a folder of their own."""

    folder: Path
    runs: tuple[Run, ...]


def parts(study: Study, folder: Path) -> list[Part]:
    """The parts of a study, those that need a teacher from it last."""
    fleets: dict[tuple[bool, object], list[Run]] = {}
    for entry, (seed, again) in itertools.product(study.entries, study.trainings):
        run = entry.run.replace(seed=seed, retraining=again)
        shared = tuple(str(v) for k, v in run.as_dict().items() if k not in OWN)
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

    Records are those of `train`; their facts also say which part it is of how many, and about which share of all work.
    What can be known to be wrong with any row is an error before the first is trained. After closing the generator,
    ``go_on=True`` resumes from the folder.

    Args:
        study: what is compared.
        folder: of all that is written.
        go_on: resume what is in the folder.
        command: that asked for it, for the report.
        dataset: in place of the one that the study names.
        networks: functions that build a network each, one for all peers or one for each, in place of those that the
            study names; see `codistill.study.in_python.in_python`.

    Raises:
        FileExistsError: the folder is not empty.
    """
    folder = Path(folder)
    if not go_on and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} already exists: resume it, or choose another name")
    study, given = in_python(study, dataset, networks)
    todo, about = parts(study, folder), folder / "study.json"
    if not about.exists():
        check_rows(study, given)
    work = [sum(map(declared_cost, part.runs)) for part in todo]
    teachers = _teacher_folders(study, todo)
    for number, part in enumerate(todo, start=1):
        methods = sorted({str(run.method) for run in part.runs})
        for record in _trained(study, part, {**given, "teachers": teachers[_first(part)]}):
            if not about.exists():  # only now: invalid settings leave no folder behind
                text = json.dumps({**study.as_dict(), "command": command, "versions": versions()}, indent=1) + "\n"
                about.write_text(text, encoding="utf-8")
            facts = {**record.facts, "part": number, "parts": len(todo), "methods": methods}
            facts |= {"work": work[number - 1] / sum(work), "all_networks": networks_trained(study)}
            yield dataclasses.replace(record, facts=facts)
    rows = list(_results(study, todo))
    write_lines(folder / "results.jsonl", rows)
    costs = folder / "costs.json"
    if not costs.exists():
        if not study.quick:
            yield Record("timing", 0, 0)
        costs.write_text(json.dumps(measure_costs(study, teachers, given), indent=1) + "\n", encoding="utf-8")
    table = dataclasses.replace(
        summary(
            study,
            list(map(result_from_json, rows)),
            json.loads(costs.read_text(encoding="utf-8")),
            dict(_decisions(study, todo)),
        ),
        settings={k: v for k, v in study.base.as_dict().items() if k not in ("method", "peers", "seed", "retraining")},
        command=command or json.loads(about.read_text(encoding="utf-8")).get("command", ""),
        versions=versions(),
        question=study.question,
        traffic=traffic_of_rows(study, todo),
        sizes=sizes_of(todo[0].folder),
    )
    (folder / "summary.json").write_text(table.to_json(), encoding="utf-8")
    yield Record("summary", 0, 0, facts=dict(table.as_dict()))


def _trained(study: Study, part: Part, given: Given) -> Iterator[Record]:
    """Train or resume a part; nothing where it is finished."""
    if (part.folder / "results.jsonl").exists():
        return
    if (part.folder / "runs.json").exists():
        records = resume(part.folder, part=study.part, **given)
    else:
        records = train(part.runs, part.folder, part=study.part, **given)
    yield from logged(records, part.folder)


def _results(study: Study, todo: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """The rows of all parts, each with its entry."""
    names = _names(study)
    for part in todo:
        runs = list(peers_by_run(part.runs))
        for row in read_lines(part.folder / "results.jsonl"):
            yield {"entry": names[_like(runs[row["number"]])], **row}


def _decisions(study: Study, todo: Sequence[Part]) -> Iterator[tuple[Key, Decisions]]:
    """The decisions of all parts, each by its entry, its seed and the number of its training."""
    names = _names(study)
    for part in todo:
        runs = list(peers_by_run(part.runs))
        for number, decisions in read_decisions(part.folder).items():
            yield (names[_like(runs[number])], runs[number].seed, runs[number].retraining), decisions


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


def teachers_of(folder: Path) -> dict[str, Path]:
    """The folders of the teachers of a comparison's part, by name; empty for a run outside a comparison."""
    home = folder.parent.parent
    if not (home / "study.json").exists():
        return {}
    study = load(home)
    todo = parts(study, home)
    part = next((part for part in todo if part.folder.name == folder.name), None)
    return {} if part is None else _teacher_folders(study, todo)[_first(part)]


def log_of(study: Study, folder: Path) -> list[Mapping[str, Any]]:
    """All epochs' lines, each with the name of its entry as its method."""
    names = _names(study)
    lines: list[Mapping[str, Any]] = []
    for part in parts(study, folder):
        lines += epochs_of(part.folder, {run.name: names[_like(run)] for run in part.runs})
    return lines


def decisions_of(study: Study, folder: Path) -> Mapping[Key, Decisions]:
    """What all networks of a study decided, by entry, seed and number of the training."""
    return dict(_decisions(study, parts(study, folder)))


def load(folder: str | Path) -> Study:
    """The study of a folder.

    Raises:
        FileNotFoundError: it is not the folder of a study.
    """
    path = Path(folder) / "study.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a comparison: {path} is missing")
    return Study.from_dict(json.loads(path.read_text(encoding="utf-8")))
