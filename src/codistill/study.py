"""A study: many runs side by side, methods times seeds, against networks trained alone."""

import itertools
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import torch

from codistill import methods
from codistill.checkpoint import places
from codistill.fleet import OWN, Fleet
from codistill.metrics.interval import mean_sd, paired_interval
from codistill.names import Spec
from codistill.randomness import seeded
from codistill.run import Run
from codistill.step import take
from codistill.train import Record, logged, read_lines, resume, train

BASELINE = "alone"
STACKED_NETWORKS = 400  # in one part at the most, unless one entry has more
TIMED_NETWORKS = 20
TIMED_ROUNDS = 15

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        recipe: its name.
        base: the settings that all runs share; tuned for the baseline.
        methods: specs, which may also set a run's settings: ``dml:peers=4,temperature=3,update=in_turn``.
        seeds: one run each.
        stacked: train all runs of one size of step as one stacked cohort, the faster way for small networks; else one
            run after the other.
        notes: what a reader has to know, printed below the table.
        part: what is measured on: ``test``, or ``valid`` where something is still to be chosen.
    """

    recipe: str
    base: Run
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    stacked: bool = True
    notes: tuple[str, ...] = ()
    part: str = "test"

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ValueError("seeds are empty: give at least one")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds={self.seeds}: give each seed once")
        object.__setattr__(self, "methods", tuple(dict.fromkeys(self.methods)))
        _check_entries(self.entries)

    @cached_property
    def entries(self) -> tuple["Entry", ...]:
        """The rows, the baseline first."""
        specs = [Spec.parse(text) for text in self.methods]
        if not any(_is_baseline(spec) for spec in specs):
            specs.insert(0, Spec(BASELINE))
        asked = [
            _peers(spec, self.base)
            for spec in specs
            if methods.is_mutual(str(spec)) or ("peers" in spec.options and not _is_baseline(spec))
        ]
        most = max(asked, default=self.base.peers)
        specs.sort(key=lambda spec: not _is_baseline(spec))
        return tuple(_entry(spec, self.base, most) for spec in specs)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "base": self.base.as_dict()}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "Study":
        """From JSON."""
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k in known}
        return cls(**{**kept, "base": Run.from_dict(found["base"])})


@dataclass(frozen=True)
class Entry:
    """One row: a method with its options, and how it is run."""

    run: Run
    teacher: str | None
    settings: tuple[tuple[str, Any], ...]  # of the run, other than the base's; peers apart

    @property
    def method(self) -> str:
        return self.run.method

    @property
    def cohort(self) -> int:
        """Networks that have to be trained to get one such network (a teacher not counted)."""
        return self.run.peers if methods.is_mutual(self.method) else 1

    @property
    def name(self) -> str:
        """Its spec, with what it sets of the run."""
        spec = Spec.parse(self.method)
        peers = {"peers": self.run.peers} if methods.is_mutual(self.method) else {}
        return str(Spec(spec.name, spec.args, {**peers, **dict(self.settings), **spec.options}))

    @property
    def label(self) -> str:
        """For tables."""
        spec = Spec.parse(self.method)
        options = {k: v for k, v in spec.options.items() if k not in ("teacher", "graph")}
        parts = [methods.find(self.method).title]
        if methods.is_mutual(self.method):
            parts.append(f"{self.run.peers} networks")
        said = {**dict(self.settings), **options}
        return ", ".join([*parts, *(f"{k.replace('_', ' ')} {v}" for k, v in said.items())])


def _is_baseline(spec: Spec) -> bool:
    fields_of_run = {field.name for field in fields(Run)}
    return spec.name == BASELINE and not set(spec.options) - fields_of_run


def _peers(spec: Spec, base: Run) -> int:
    peers = spec.options.get("peers", base.peers)
    if type(peers) is not int:
        raise ValueError(f"{spec}: peers={peers!r}: give the number of networks")
    return peers


def _check_entries(entries: Sequence[Entry]) -> None:
    """Rows have to be told apart, and paired with networks trained alone."""
    base = entries[0]
    for number, entry in enumerate(entries):
        methods.find(entry.method)
        if any(entry.run == other.run or entry.name == other.name for other in entries[:number]):
            raise ValueError(f"{entry.name!r} is there twice: leave one out")
        if entry.run.peers > base.run.peers:
            raise ValueError(
                f"{base.name!r} has peers={base.run.peers} to pair the {entry.run.peers} networks of {entry.name!r} "
                "with: give it as many, or leave it out (it is added)"
            )
        if entry.teacher == BASELINE and base.run.peers < 2 and not methods.find(entry.method).twin:
            raise ValueError(
                f"peers=1: {entry.name!r} learns from another network trained alone than its own twin, and there is "
                "one: set peers to 2 or more, or teacher to the folder of a run"
            )


def _entry(spec: Spec, base: Run, most: int) -> Entry:
    of_run = {field.name for field in fields(Run)} - {"method", "seed"}
    settings = {k: v for k, v in spec.options.items() if k in of_run}
    options = {k: v for k, v in spec.options.items() if k not in of_run}
    method = methods.find(str(spec))
    parameters = signature(method).parameters
    teacher = options.get("teacher")
    if "teacher" not in options and "teacher" in parameters and parameters["teacher"].default is Parameter.empty:
        teacher = options["teacher"] = BASELINE
    if teacher == BASELINE and "graph" in parameters and not method.twin:
        # Each from the next network trained alone: of the same size, and its own twin only where the method says so.
        options.setdefault("graph", "ring")
    peers = settings.pop("peers", base.peers if methods.is_mutual(str(spec)) else most)
    run = base.replace(method=str(Spec(spec.name, spec.args, options)), peers=peers, **settings)
    return Entry(run, None if teacher is None else str(teacher), tuple(settings.items()))


# Running ------------------------------------------------------------------------------------------------------------


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
        waits = entry.teacher == BASELINE
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
        known = {BASELINE: teachers[min(seeds)]} if part.waits else {}
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
        for runs in [list(places(part.runs))]
        for row in read_lines(part.folder / "results.jsonl")
    ]
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    costs = folder / "costs.json"
    if not costs.exists():
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


def _teacher_folders(study: Study, todo: Sequence[Part]) -> dict[int, Path]:
    """Of each seed, the folder with the baseline's networks."""
    base = study.entries[0].run
    return {run.seed: part.folder for part in todo for run in part.runs if run.replace(seed=base.seed) == base}


def teachers_of(folder: Path) -> dict[str, Path]:
    """For a part of a comparison, where its teachers are; nothing for a run of its own."""
    home = folder.parent.parent
    if not (home / "study.json").exists():
        return {}
    study = load(home)
    todo = parts(study, home)
    part = next((part for part in todo if part.folder.name == folder.name), None)
    return {} if part is None else {BASELINE: _teacher_folders(study, todo)[min(run.seed for run in part.runs)]}


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
    from importlib.metadata import version

    return {"codistill": version("codistill"), "torch": torch.__version__, "python": platform.python_version()}


# Costs --------------------------------------------------------------------------------------------------------------


def measure_costs(study: Study, teachers: Mapping[int, Path]) -> dict[str, dict[str, float]]:
    """Passes and seconds of each entry, apart from the others: ``{entry: {...}}``, per network and step.

    Every entry steps a fleet of about the same number of networks, in turns with the others; passes are counted and
    seconds are medians over the rounds of the ratio to the baseline's.
    """
    fleets = {entry.name: _timed_fleet(study, entry, teachers) for entry in study.entries}
    base = study.entries[0].name
    seconds: dict[str, list[float]] = {name: [] for name in fleets}
    for turn in range(TIMED_ROUNDS + 2):
        for name, fleet in fleets.items():
            started = time.perf_counter()
            with seeded(fleet.device, fleet.run.seed, "timing", turn):
                # from all of the training: methods may begin late, or end early
                take(fleet, turn * fleet.run.epochs // (TIMED_ROUNDS + 2), turn % fleet.steps)
            if fleet.device.type == "cuda":
                torch.cuda.synchronize(fleet.device)
            if turn >= 2:
                seconds[name].append((time.perf_counter() - started) / len(fleet.cohort))
    steps = TIMED_ROUNDS + 2
    costs = {}
    for name, fleet in fleets.items():
        passes = [fleet.cohort.passes] + [
            m.passes for member in fleet.members for m in member.method.modules() if isinstance(m, type(fleet.cohort))
        ]
        costs[name] = {
            "forward": sum(p.forward for p in passes) / steps / len(fleet.cohort),
            "backward": sum(p.backward for p in passes) / steps / len(fleet.cohort),
            "seconds": statistics.median(a / b for a, b in zip(seconds[name], seconds[base], strict=True)),
        }
    return costs


def _timed_fleet(study: Study, entry: Entry, teachers: Mapping[int, Path]) -> Fleet:
    seeds = study.seeds[: max(1, TIMED_NETWORKS // entry.run.peers)] if study.stacked else study.seeds[:1]
    known = {BASELINE: teachers[seeds[0]]} if entry.teacher == BASELINE else {}
    return Fleet([entry.run.replace(seed=seed) for seed in seeds], teachers=known)


# Summary ------------------------------------------------------------------------------------------------------------


def _table(study: Study, rows: Rows) -> Callable[[Entry, int, int | None, int], dict[str, float]]:
    """Look-up of a result: entry, seed, peer (None: an ensemble), networks in it."""
    found = {(r["entry"], r["seed"], r["peer"], r["networks"]): r for r in rows}

    def look(entry: Entry, seed: int, peer: int | None, networks: int) -> dict[str, float]:
        return found[entry.name, seed, peer, networks]

    return look


def summary(study: Study, rows: Rows, costs: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The table: one row per entry. Accuracies are fractions; an interval is Student's t over seeds."""
    look = _table(study, rows)
    base = study.entries[0]
    return {
        "recipe": study.recipe,
        "seeds": list(study.seeds),
        "n_test": rows[0]["n"],
        "baseline": base.name,
        "notes": list(study.notes),
        "rows": [_row(study, entry, base, look, costs) for entry in study.entries],
    }


def _row(
    study: Study,
    entry: Entry,
    base: Entry,
    look: Callable[[Entry, int, int | None, int], dict[str, float]],
    costs: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    peers = range(entry.run.peers)
    single = [look(entry, seed, i, 1) for seed in study.seeds for i in peers]
    mean, sd = mean_sd([row["accuracy"] for row in single])  # no sd, and no interval, of one: null in JSON
    row: dict[str, Any] = {
        "method": entry.name,
        "label": entry.label,
        "peers": entry.cohort,
        "seeds": len(study.seeds),
        "networks": len(single),
        "accuracy_mean": mean,
        "accuracy_sd": sd if len(single) > 1 else None,
        **{f"{key}_mean": statistics.fmean(r[key] for r in single) for key in ("nll", "ece", "brier", "entropy")},
        "gain_mean": None,
        "gain_ci95": None,
        "gain_per_seed": None,
        **_ensembles(study, entry, base, look),
        "same_gradient_as": _same_gradient(study, entry),
        "cost": _cost(entry, base, costs),
    }
    if entry is not base:
        gains = [
            statistics.fmean(look(entry, s, i, 1)["accuracy"] - look(base, s, i, 1)["accuracy"] for i in peers)
            for s in study.seeds
        ]
        mean, low, high = paired_interval(gains)
        row |= {"gain_mean": mean, "gain_ci95": [low, high] if len(gains) > 1 else None, "gain_per_seed": gains}
    return row


def _ensembles(
    study: Study, entry: Entry, base: Entry, look: Callable[[Entry, int, int | None, int], dict[str, float]]
) -> dict[str, Any]:
    """The ensemble of an entry's networks, and that of the networks with the same starts trained alone."""
    size = entry.run.peers
    if size < 2:
        return {"ensemble_networks": None, "ensemble_mean": None, "ensemble_alone_mean": None}
    own = [look(entry, seed, None, size)["accuracy"] for seed in study.seeds]
    alone = [look(base, seed, None, size)["accuracy"] for seed in study.seeds]
    return {
        "ensemble_networks": size,
        "ensemble_mean": statistics.fmean(own),
        "ensemble_alone_mean": statistics.fmean(alone),
    }


def _same_gradient(study: Study, entry: Entry) -> str | None:
    other = methods.find(entry.method).same_gradient(Spec.parse(entry.method).options)
    for candidate in study.entries if other else ():
        like = candidate.run.replace(method=entry.method) == entry.run
        if like and Spec.parse(candidate.method) == Spec.parse(str(other)):
            return candidate.name
    return None


def _cost(entry: Entry, base: Entry, costs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What one network costs by itself, and what has to be paid to get one: its cohort and its teacher."""
    own, alone = costs[entry.name], costs[base.name]
    kinds = ("forward", "backward", "seconds")
    taught = {k: alone[k] if entry.teacher == BASELINE else 0.0 for k in kinds}
    per_network = {f"{k}_per_network": round(own[k] + taught[k], 3) for k in kinds}
    return {**{k: round(own[k] * entry.cohort + taught[k], 3) for k in kinds}, **per_network}
