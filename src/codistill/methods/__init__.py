"""Methods: each an equation over the outputs of a cohort, one to a file; the folder is the list."""

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from codistill import discovery
from codistill.batch import Batch
from codistill.cohort import Cohort, View
from codistill.graph import Graph
from codistill.methods.parts.needs import Needs
from codistill.spec import Spec, UnknownName, WrongKind

Peers = Cohort | View
Terms = dict[str, Tensor]


class IdenticalPeers(UserWarning):
    """Peers that are to teach each other start with the same weights."""


class Method(nn.Module, ABC):
    """What is minimised.

    A method that has parameters makes them in `prepare`; state that moves, moves in `after_step` alone and is
    kept in buffers, so that it is in every checkpoint.

    Attributes:
        title: its name in tables.
        needs: what it needs of data, peers and networks.
        cost: network passes per network and step, forward / backward.
        published: published figures, their source, and how sure they are.
        samples: how many samples ``batch.index`` counts, and
        epochs: those of the whole training; said before `prepare`, 0 where nobody said.
        graph: who learns from whom; None where nobody learns from peers.
    """

    title: ClassVar[str]
    needs: ClassVar[Needs] = Needs()
    cost: ClassVar[str] = "1 / 1"
    published: ClassVar[str] = ""
    samples: int = 0
    epochs: int = 0
    graph: Graph | None = None

    def __init__(self) -> None:
        super().__init__()
        self._checked = False

    @abstractmethod
    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        """Named terms, each ``[P]``, or a scalar where it belongs to no peer; their sum is what is minimised.

        Args:
            cohort: the peers.
            batch: what they learn from.
            progress: how much of the training is done, 0 to 1; None where nobody knows.
        """

    @classmethod
    def same_gradient(cls, options: Mapping[str, Any]) -> str | None:
        """The spec of another method that has the very same gradient as this one with these options, or None."""
        return None

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        """Once, before the optimizer is built: taps, connectors, tables."""

    def start_epoch(self, epoch: int) -> None:
        """Before the first step of an epoch."""

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        """After the weights have moved: the only place where state moves."""

    def __call__(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        if not self._checked:
            self._checked = True
            graph = self.graph or getattr(getattr(self, "sources", None), "peer_graph", None)
            if graph is not None:
                warn_of_identical(cohort, graph)
        terms: Terms = super().__call__(cohort, batch, progress)
        return terms


def warn_of_identical(cohort: Peers, graph: Graph) -> None:
    """Warn of peers with the same weights that an edge joins: their divergence is 0, they teach each other nothing."""
    w = graph.matrix(len(cohort))
    for i, j in w.nonzero().tolist():
        a, b = cohort.peer_state(i), cohort.peer_state(j)
        if i != j and a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a):
            warnings.warn(
                f"peers {j} and {i} start with identical weights, so they have nothing to teach each other: "
                "build each network with a seed of its own (not by a deep copy), nor all from one start with its head",
                IdenticalPeers,
                stacklevel=3,
            )
            return


def find(spec: str) -> type[Method]:
    """The class of a method's spec.

    Raises:
        UnknownName: no such method, with the nearest valid names.
    """
    cls, _ = discovery.find(__name__, Spec.parse(spec))
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise WrongKind(f"{spec!r} is {cls!r}, not a Method")
    return cls


def is_mutual(spec: str) -> bool:
    """Whether a method's peers learn from each other: by itself, or because it was given ``teacher=none``."""
    options = Spec.parse(spec).options
    return find(spec).needs.peers or ("teacher" in options and options["teacher"] is None)


def get(spec: str, **settings: Any) -> Method:
    """A method from its spec, ``dml:weight=0.5,temperature=3``; ``module:Name`` is the user's own.

    Args:
        spec: name and options.
        settings: more options, in Python.

    Raises:
        UnknownName: no such method, with the nearest valid names.
        ValueError: an option that the method does not have, or a value that it refuses.
    """
    parsed = Spec.parse(spec)
    cls, (_, args) = find(spec), discovery.find(__name__, parsed)
    options = {**parsed.options, **settings}
    valid = list(inspect.signature(cls).parameters)
    for option in options:
        if option not in valid:
            raise UnknownName(f"option of method {parsed.name!r}", option, valid)
    parameters = list(inspect.signature(cls).parameters.values())[len(args) :]
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in options:
            fix = "a run's folder, or none for the peers" if parameter.name == "teacher" else "a value"
            raise ValueError(f"method {spec!r} needs {parameter.name}: give it {fix}, {parameter.name}=...")
    return cls(*args, **options)


__all__ = ["IdenticalPeers", "Method", "Needs", "Peers", "Terms", "find", "get", "is_mutual", "warn_of_identical"]
