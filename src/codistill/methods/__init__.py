"""Methods: each an equation over the outputs of a cohort, one to a file; the folder is the list.

What a method's file speaks of can be imported from here: peers, batches, a graph, and the verbs over them.
"""

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, dataclass_transform

import torch
from torch import Tensor, nn

from codistill import discovery
from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort, Outputs, Peers
from codistill.graph import Graph, along, blend, complete, everyone, named, none, same_classes
from codistill.losses.divergence import Divergence, imitate
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import joint_loss, label_loss
from codistill.methods.parts.needs import Needs
from codistill.methods.parts.options import GraphOption, Links, Names, Number, Temperature, completed
from codistill.methods.parts.ramp import ramp, rise
from codistill.spec import Spec, WrongKind

Terms = dict[str, Tensor]


class IdenticalPeers(UserWarning):
    """Peers that are to teach each other start with the same weights."""


class NotPrepared(AttributeError, ValueError):
    """A method has no such attribute: it may be one that `Method.prepare` makes."""


@dataclass_transform(eq_default=False)
class Method(nn.Module, ABC):
    """What is minimised.

    A method that has parameters makes them in `prepare`; state that moves, moves in `after_step` alone and is
    kept in buffers, so that it is in every checkpoint.

    Its options are the fields of its class, which is a dataclass, unless it has an ``__init__`` of its own. Those that
    many methods have are described here, and in the help of every method that lists them.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: peers imitate each other.
        weight: w.
        task_weight: a.
        temperature: T.
        divergence: D: ``kl | reverse_kl | symmetric_kl | js | renyi:alpha=0.5``, or your own.
        features: submodules whose outputs are h (``:input`` for what goes in), joined by ``/``: side by side.
        ramp: fraction of the training over which r rises to 1 (0: none), see `ramp`.
        decay: of the exponential moving averages, see `Averages`.
        graph: W[student, source], by name (``complete``, ``ring``, ``star``, ``own``, ``everyone``, ``none``), by
            matrix or as a `Graph`. None: each from all teachers, or from all other peers, alike.

    Attributes:
        title: its name in tables, where that is not the class's.
        needs: what it needs of data, peers and networks.
        cost: network passes per network and step, forward / backward.
        published: published figures, their source, and how sure they are.
        samples: how many samples ``batch.index`` counts, and
        epochs: those of the whole training; set before `prepare`, 0 where they are not known.

    Raises:
        ValueError: the teacher is not a frozen cohort.
    """

    title: ClassVar[str]
    needs: Needs = Needs()
    cost: ClassVar[str] = ""
    published: ClassVar[str] = ""
    samples: int = 0
    epochs: int = 0
    _checked = False
    # Options, where a method lists them; else it has their defaults.
    teacher: Cohort | None
    graph: GraphOption = GraphOption(None)
    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    features: Names = Names("")

    def __init_subclass__(cls) -> None:
        if "__init__" not in vars(cls):
            dataclass(eq=False, repr=False)(cls)
        if "teacher" in vars(cls):
            del cls.teacher  # a default would hide the submodule of this name
        cls.__doc__, cls.title = completed(cls), vars(cls).get("title", cls.__name__)

    def __new__(cls, *_: Any, **options: Any) -> Self:
        method = super().__new__(cls)
        nn.Module.__init__(method)  # before the first field is set
        method.teacher = None
        return method

    def __init__(self, graph: Links = None, teacher: Cohort | None = None) -> None:
        self.graph, self.teacher = graph, teacher
        self.__post_init__()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError as error:
            raise NotPrepared(f"{error}: call method.prepare(cohort, batch) before the first step") from None

    def __post_init__(self) -> None:
        teacher = self.teacher
        if teacher is not None and not (isinstance(teacher, Cohort) and teacher.fixed):
            what = f"a {type(teacher).__name__}" + (" that still learns" if isinstance(teacher, Cohort) else "")
            raise ValueError(f"teacher is {what}: give a frozen cohort (cohort.frozen()), a folder, or none for peers")
        self.graph = named(self.default_graph() if self.graph is None else self.graph)

    def default_graph(self) -> Graph:
        """W where none is given."""
        if self.teacher is not None:
            return everyone()
        return complete() if self.needs.peers or self.needs.teacher else none()

    @property
    def peer_graph(self) -> Graph:
        """Who learns from which peer."""
        return self.graph if self.teacher is None or self.needs.peers else none()

    @abstractmethod
    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        """Named terms, each ``[P]``, or a scalar where it belongs to no peer; their sum is what is minimised.

        Args:
            cohort: the peers.
            batch: what they learn from.
            progress: how much of the training is done, 0 to 1; None where nobody knows.
        """

    def students_and_sources(self, cohort: Peers, batch: Batch) -> tuple[Outputs, Outputs]:
        """The students' outputs, and those that they imitate, detached: the teacher's, or their own without one."""
        students = cohort(batch.x)
        if self.teacher is None:
            sources = students
        else:
            with torch.no_grad():
                sources = self.teacher(batch.x)
        features = {name: cohort.share(feature) for name, feature in sources.features.items()}
        return students, Outputs(cohort.share(sources.logits), features)

    @classmethod
    def same_gradient(cls, options: Mapping[str, Any]) -> str | None:
        """The spec of another method that has the very same gradient as this one with these options, or None."""
        return None

    def check_task(self, batch: Batch) -> None:
        """Raises a ValueError where a method cannot learn the task of a batch."""
        if batch.task not in self.needs.tasks:
            name, tasks = type(self).__module__.rpartition(".")[2], " or ".join(map(repr, self.needs.tasks))
            raise ValueError(f"task={batch.task!r}: method {name!r} is for task={tasks}; choose another method")

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        """Once, before the optimizer is built: taps, connectors, tables."""

    def start_epoch(self, epoch: int) -> None:
        """Before the first step of an epoch."""

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        """After the weights have moved: the only place where state moves."""

    def __call__(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        self.check_task(batch)
        if not self._checked:
            self._checked = True
            warn_of_identical(cohort, self.peer_graph)
        terms: Terms = super().__call__(cohort, batch, progress)
        return terms


class Imitation(Method):
    """A method whose peers imitate posteriors: what all of those have in common goes here, options by keyword alone."""

    def logits(self, cohort: Peers, batch: Batch) -> tuple[Tensor, Tensor]:
        """The students' ``[P, B, C]``, and those that they imitate, ``[Q, B, C]``: see `students_and_sources`."""
        students, sources = self.students_and_sources(cohort, batch)
        same_classes(students.logits, sources.logits)
        return students.logits, sources.logits

    def along(self, divergence: Divergence, *, students: Tensor, sources: Tensor, of: Batch, **other: Any) -> Tensor:
        """`along` the method's graph at its temperature, unless others are given: ``[P]``."""
        own = {"graph": self.graph, "temperature": self.temperature}
        return along(divergence=divergence, students=students, sources=sources, of=of, **{**own, **other})

    def imitate(self, divergence: Divergence, *, students: Tensor, of: Batch, **target: Any) -> Tensor:
        """`imitate` at the method's temperature, unless another is given: ``[P]``."""
        return imitate(divergence, students=students, of=of, **{"temperature": self.temperature, **target})


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


__all__ = [
    "Batch",
    "Cohort",
    "Graph",
    "IdenticalPeers",
    "Imitation",
    "Links",
    "Method",
    "Needs",
    "Peers",
    "Terms",
    "along",
    "blend",
    "find",
    "get",
    "imitate",
    "is_mutual",
    "joint_loss",
    "kl",
    "label_loss",
    "number",
    "ramp",
    "rise",
]
