"""What is given in Python in place of what runs name, and what runs call it then."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from torch import nn

from codistill.data.examples import DataSet
from codistill.description import PYTHON
from codistill.exchange import Mesh
from codistill.exchange.rounds import Silo
from codistill.exchange.shared_folder import SharedFolder
from codistill.run import Run
from codistill.spec import Spec
from codistill.training.fleet import slots

Folders = Mapping[str, Path]
Factories = Mapping[Spec, Callable[[], nn.Module]]  # untrained networks, by the specs that runs have for them
UNNAMED = Run().data  # what a run says where nobody said anything


class Given(TypedDict, total=False):
    """What takes the place of what runs name; see `train`."""

    dataset: DataSet | None
    networks: Sequence[nn.Module] | None
    teachers: Folders | None
    factories: Factories | None
    mesh: Mesh | None
    shared: SharedFolder | Silo | None


def named_after(runs: Sequence[Run], given: Given) -> list[Run]:
    """The runs as they are written down: what was given in Python is called so, ``python:bars``, ``python:MyNet``.

    A data set goes by the name that its run says, networks by their classes. A run that says so already stays as it is.
    """
    if given.get("dataset") is not None:
        runs = [run.replace(data=named_data(run.data)) for run in runs]
    networks = given.get("networks")
    if networks is None:
        return list(runs)
    table, models = slots(runs), dict[Run, dict[int, Spec]]()
    if len(networks) != len(table):
        raise ValueError(f"{len(networks)} networks were given for {len(table)} peers")
    for slot, network in zip(table, networks, strict=True):
        models.setdefault(slot.run, {})[slot.number] = Spec(PYTHON, (type(network).__name__,))
    return [run.replace(models=_short([models[run][peer] for peer in range(run.peers)])) for run in runs]


def named_data(spec: Spec) -> Spec:
    """What data that were given in Python are called, where a run says this."""
    if spec.name == PYTHON:
        return spec
    return Spec(PYTHON) if spec == UNNAMED else Spec(PYTHON, (spec.name,))


def _short(specs: list[Spec]) -> tuple[Spec, ...]:
    """One spec for all peers where they have the same."""
    return tuple(specs[:1] if len(set(specs)) == 1 else specs)


def ask_for(run: Run, what: str) -> ValueError:
    """The error of a run whose data or networks came from Python, where they are not given again."""
    return ValueError(
        f"the {what} of this run came from Python ({run.data if what == 'data set' else ' '.join(map(str, run.models))}"
        f") and cannot be read from its folder: in Python, give {'dataset=' if what == 'data set' else 'networks='} to "
        "resume(...) or restored(...); a command cannot"
    )
