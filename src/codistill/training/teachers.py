"""Frozen teachers: the networks of a finished run, of one of its checkpoints, or any module of your own."""

from pathlib import Path

import torch
from torch import nn

from codistill.checkpoint import read_runs
from codistill.cohort import Cohort
from codistill.data.examples import DataSet
from codistill.models.parts.trial import try_out
from codistill.run import Run
from codistill.spec import Spec
from codistill.training import initial_weights
from codistill.training.slots import peers_by_run


def networks_of(teacher: str, folder: Path, run: Run, dataset: DataSet) -> list[nn.Module]:
    """A teacher's networks, for a student's run.

    Args:
        teacher: what the run calls it: a folder, or ``module:function`` of your own, which returns a trained network;
            in a comparison ``alone``, or the spec of a network that is there trained alone.
        folder: the folder that this name means.
        run: the student's.
        dataset: the student's.

    Raises:
        ValueError: there is no such teacher, or it has other classes.
    """
    if ":" in teacher and not folder.exists():
        nets = [initial_weights.network(teacher, dataset)]
    else:
        nets = teacher_networks(folder, run, dataset, None if folder == Path(teacher) else teacher)
    x = dataset.train.x[:2]
    x = x.float() if x.dtype == torch.uint8 else x
    if dataset.task == "classes":
        for net in nets:
            try_out(f"teacher={teacher!r}", net, x)
        with torch.no_grad():
            given = Cohort(nets).freeze()(x).logits.shape[-1]
        if given != dataset.classes:
            raise ValueError(f"teacher={teacher!r} gives {given} classes, data='{run.data}' has {dataset.classes}")
    return nets


def teacher_networks(folder: Path, run: Run, dataset: DataSet, name: str | None = None) -> list[nn.Module]:
    """The networks of a finished run, for a student's run: of the same seed where the folder has several.

    Args:
        folder: of the finished run, or of one of its checkpoints.
        run: the student's.
        dataset: the student's.
        name: a network's spec, to have the first such network alone; anything else: all networks, if there are several
            runs those of the student's kind.

    Raises:
        ValueError: no such run, or a teacher of other classes.
    """
    try:
        home, peers = initial_weights.saved(folder)
        runs = read_runs(home)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"teacher={str(folder)!r}: {error}") from None
    alone = [r for r in runs if r.method.name == "alone" and r.seed == run.seed]
    named = None if name is None else Spec.of(name)
    kind = named if any(named in r.networks() for r in alone) else run.networks()[0]
    alone.sort(key=lambda r: (kind not in r.networks(), len(str(r.method))))
    chosen = runs[0] if len(runs) == 1 else next(iter(alone), None)
    if chosen is None:
        raise ValueError(
            f"teacher={str(folder)!r} has no run of method 'alone' and seed {run.seed}: "
            "give the folder of a finished run"
        )
    specs = chosen.networks()
    numbers = [specs.index(named)] if named in specs else list(range(len(specs)))
    nets = [initial_weights.network(specs[i], dataset, load=False) for i in numbers]
    try:
        cohort = Cohort(nets)
        for net, number in enumerate(numbers):
            cohort.load_peer_state(net, peers[peers_by_run(runs)[chosen][number]])
    except ValueError as error:
        raise ValueError(f"teacher={str(folder)!r} does not fit data='{run.data}': {error}") from None
    return nets
