"""The networks of finished runs, each with its method, seed and number, and the data to measure it on."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from codistill import study as studies
from codistill.analysis.loss import Batches
from codistill.checkpoint import read_runs
from codistill.data.examples import Examples
from codistill.data.loader import plain
from codistill.randomness import generator
from codistill.run import Run, told_apart
from codistill.spec import Spec
from codistill.study.rows import BASELINE
from codistill.training.fleet import Fleet
from codistill.training.records import epochs_of

BATCH = 256


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """One network of a finished run.

    Attributes:
        method: the row that it belongs to; seeds of a row are repetitions.
        seed: of its run.
        peer: its number in its run.
        model: its spec.
        net: the network, as training left it.
        train: of the examples that it was trained on, without augmentation.
        test: of the test part.
        task: of the data.
    """

    method: str
    seed: int
    peer: int
    model: str
    net: nn.Module
    train: Batches
    test: Batches
    task: str


@dataclass(frozen=True)
class Row:
    """One method: its runs are repetitions with other seeds.

    Attributes:
        method: its name.
        label: for people.
        baseline: whether these are networks trained alone, that the others' are compared with.
    """

    method: str
    label: str
    baseline: bool


RunFolders = dict[Path, dict[Run, Row]]  # folders of runs or fleets, and which row each of their runs belongs to


def run_folders(folders: Sequence[Path]) -> RunFolders:
    """The folders to analyse: those given, or those of the one comparison that was given.

    Raises:
        FileNotFoundError: no folder of a run, or one that is not finished.
        ValueError: nothing given, one given twice, a comparison among others, runs on different data.
    """
    if not folders:
        raise ValueError("there is no run to analyze: give the folder of a run or of a comparison")
    if twice := [f for i, f in enumerate(folders) if f.resolve() in [g.resolve() for g in folders[:i]]]:
        raise ValueError(f"{twice[0]} is there twice: give each folder once")
    comparisons = [f for f in folders if (f / "study.json").exists()]
    if comparisons and len(folders) > 1:
        raise ValueError(f"{comparisons[0]} is a comparison: analyze it by itself, or give folders of runs only")
    chosen = _of_study(folders[0]) if comparisons else _of_runs(folders)
    data = {run.data: folder for folder, rows in chosen.items() for run in rows}
    if len(data) > 1:
        (one, here), (other, there) = list(data.items())[:2]
        raise ValueError(f"data='{one}' in {here} and '{other}' in {there}: analyze runs on the same data together")
    return chosen


def _of_study(folder: Path) -> RunFolders:
    study = studies.load(folder)
    rows = {entry.run.replace(seed=0): Row(entry.name, entry.label, entry.alone) for entry in study.entries}
    parts = [part for part in studies.parts(study, folder) if not part.runs[0].retraining]  # the first trainings
    if any(not (part.folder / "results.jsonl").exists() for part in parts):
        raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}")
    return {part.folder: {run: rows[run.replace(seed=0)] for run in part.runs} for part in parts}


def _of_runs(folders: Sequence[Path]) -> RunFolders:
    """Runs of the same name are one row, except where they differ in more than their seed: then by folder."""
    each = {folder: read_runs(folder) for folder in folders}
    every = [run for runs in each.values() for run in runs]
    forms = Counter(form.name for form in {run.replace(seed=0) for run in every})
    alone = [run for run in every if run.method == Spec(BASELINE)]
    # for each kind of networks, the row with the most of them, so that all others have their pairs in it
    bases = {run.models: run.replace(seed=0) for run in sorted(alone, key=lambda run: run.peers)}

    def row(run: Run, folder: Path) -> Row:
        form = run.replace(seed=0)
        name = form.name.removesuffix("/seed=0") + (f" ({folder.name})" if forms[form.name] > 1 else "")
        return Row(name, name, form == bases.get(run.models))

    return {folder: {run: row(run, folder) for run in runs} for folder, runs in each.items()}


def log_lines(folders: RunFolders) -> list[dict[str, object]]:
    """The lines of all runs' epochs, each with its row's name as its method."""
    lines: list[dict[str, object]] = []
    for folder, rows in folders.items():
        lines += epochs_of(folder, {name: rows[run].method for run, name in told_apart(rows).items()})
    return lines


def trained_networks(
    rows: Mapping[Run, Row], fleet: Fleet, networks: int, examples: int, seed: int = 0
) -> Iterator[list[TrainedNetwork]]:
    """The first networks of each run, side by side.

    Args:
        rows: which row each run belongs to.
        fleet: the runs.
        networks: how many of each run at most.
        examples: how many of the training part, and of the test part, at most; drawn by `seed` and the run's.
        seed: of the draw.
    """
    parts = dict(zip(fleet.streams.seeds, fleet.streams.parts, strict=True))
    for run, peers in fleet.peers_by_run.items():
        row, part, task = rows[run], parts[run.seed], fleet.dataset.task
        train = _batches(fleet, part.train, examples, derived=("train", run.seed), seed=seed)
        test = _batches(fleet, part.test, examples, derived=("test",), seed=seed)
        pairs = list(enumerate(zip(peers, run.networks(), strict=True)))[:networks]
        nets = [(i, str(model), fleet.delivered.network(peer)) for i, (peer, model) in pairs]
        yield [TrainedNetwork(row.method, run.seed, *net, train, test, task) for net in nets]


def _batches(fleet: Fleet, examples: Examples, most: int, *, derived: tuple[str | int, ...], seed: int) -> Batches:
    if len(examples) > most:
        order = torch.randperm(len(examples), generator=generator(seed, "analysis", *derived))
        examples = examples.take(order[:most].sort().values)
    pairs = plain(examples.to(fleet.device), mean=fleet.dataset.mean, std=fleet.dataset.std, batch=BATCH)
    return [(fleet.streams.cast(x), y) for x, y in pairs]
