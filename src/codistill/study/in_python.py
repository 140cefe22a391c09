"""A comparison of data and networks that are given in Python."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import nn

from codistill.data.examples import DataSet
from codistill.description import PYTHON
from codistill.run import Run
from codistill.spec import Spec, WrongKind
from codistill.study.entries import Study
from codistill.training.given import Given, named_data

Factory = Callable[[], nn.Module]


def in_python(study: Study, dataset: DataSet | None, networks: Sequence[Factory] | None) -> tuple[Study, Given]:
    """A study that calls what was given so (``python:MyNet``), and what its runs are given in training.

    Args:
        study: whose rows name no networks, where these are given.
        dataset: in place of the one that its settings name.
        networks: functions that build an untrained network each: one for all peers, or one for each. They are called
            for every peer of every run, with torch's generator at the seed of run and peer, so that what differs in its
            method alone starts from the same weights.

    Raises:
        ValueError: another number of networks, or a row that names others.
    """
    base, given = study.base, Given(dataset=dataset)
    if dataset is not None:
        base = base.replace(data=named_data(base.data))
    if networks is not None:
        specs = _specs(networks, base)
        base = base.replace(models=specs)
        for row in study.rows:
            models = row.setting("models")
            if isinstance(models, tuple) and not set(models) <= set(specs):
                there = "+".join(map(str, specs))
                raise ValueError(f"row {str(row)!r} names networks, and networks= gives others: use models={there}")
        given["factories"] = dict(zip(specs, networks, strict=True))
    return replace(study, base=base), given


def _specs(networks: Sequence[Factory], base: Run) -> tuple[Spec, ...]:
    """What the networks of each function are called; equal names are counted."""
    if len(networks) not in (1, base.peers):
        raise ValueError(f"{len(networks)} networks for peers={base.peers}: give one for all peers, or one for each")
    for factory in networks:
        if isinstance(factory, nn.Module) or not callable(factory):
            raise WrongKind(
                f"networks has a {type(factory).__name__}: give functions that build a network, such as lambda: Net(), "
                "since every seed and method needs its own"
            )
    names = [getattr(factory, "__name__", type(factory).__name__).strip("<>") for factory in networks]
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name}{seen[name]}" if names.count(name) > 1 else name)
    return tuple(Spec(PYTHON, (name,)) for name in unique)
