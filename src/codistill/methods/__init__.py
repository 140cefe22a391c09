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
from codistill.spec import Spec, WrongKind

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


def find(spec: str | Spec) -> type[Method]:
    """The class of a method's spec.

    Raises:
        UnknownName: no such method, with the nearest valid names.
    """
    cls, _ = discovery.find(__name__, spec)
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise WrongKind(f"'{spec}' is {cls!r}, not a Method")
    return cls


def is_mutual(spec: str | Spec) -> bool:
    """Whether a method's peers learn from each other: by itself, or because it was given ``teacher=none``."""
    spec = Spec.of(spec)
    options = spec.options
    return find(spec).needs.peers or ("teacher" in options and options["teacher"] is None)


def get(spec: str | Spec, **settings: Any) -> Method:
    """A method from its spec, ``dml:weight=0.5,temperature=3``; ``module:Name`` is the user's own.

    Args:
        spec: name and options.
        settings: more options, in Python.

    Raises:
        UnknownName: no such method or option, with the nearest that exist.
        ValueError: a required option is missing, or a value is invalid.
    """
    spec = Spec.of(spec).replace(**settings)
    teacher = inspect.signature(find(spec)).parameters.get("teacher")
    if teacher is not None and teacher.default is teacher.empty and "teacher" not in spec.options and not spec.args:
        raise ValueError(
            f"method {str(spec)!r} needs teacher: give it a run's folder, or none for the peers, teacher=..."
        )
    method: Method = discovery.construct(__name__, spec)
    return method


__all__ = ["IdenticalPeers", "Method", "Needs", "Peers", "Terms", "find", "get", "is_mutual", "warn_of_identical"]
