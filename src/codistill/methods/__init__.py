"""Methods: each an equation over the outputs of a cohort, one to a file; the folder is the list.

What a method's file speaks of can be imported from here: peers, batches, a graph, and the verbs over them.
"""

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Self, dataclass_transform

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from codistill import discovery
from codistill.batch import Batch as Batch, PerPeer, of_peer
from codistill.checks import number as number
from codistill.cohort import Cohort as Cohort, Outputs, Peers as Peers
from codistill.cohort.parallel import peers_of
from codistill.graph import Graph as Graph, along as along, blend as blend, complete, everyone, none, same_classes
from codistill.losses.divergence import Divergence, imitate as imitate
from codistill.losses.divergences.kl import kl as kl
from codistill.losses.labels import joint_loss as joint_loss, label_loss as label_loss
from codistill.losses.posterior import log_posterior, one_pass
from codistill.methods.parts.exchange import Exchange
from codistill.methods.parts.needs import Needs as Needs
from codistill.methods.parts.options import (
    Choice,
    Fraction,
    GraphOption,
    Links as Links,
    Names,
    Number,
    SelectOption,
    TargetOption,
    Temperature,
    completed,
)
from codistill.methods.parts.ramp import ramp as ramp, rise as rise
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
        decay: of the exponential moving averages, see `Averages`.
        graph: W[student, source], by name (``complete``, ``ring``, ``star``, ``own``, ``everyone``, ``none``), by
            matrix or as a `Graph`. None: each from all teachers, or from all other peers, alike.

    Attributes:
        title: its name in tables, where that is not the class's.
        needs: what it needs of data, peers and networks.
        cost: network passes per network and step, forward / backward.
        published: published figures, their source, and how sure they are.
        note: a line in the docstring of every subclass.
        samples: how many samples ``batch.index`` counts, and
        epochs: those of the whole training; set before `prepare`, 0 where they are not known.

    Raises:
        ValueError: the teacher is not a frozen cohort.
    """

    title: ClassVar[str]
    needs: Needs = Needs()
    cost: ClassVar[str] = ""
    published: ClassVar[str] = ""
    note: ClassVar[str] = ""
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
        note = "" if "note" in vars(cls) else cls.note
        cls.__doc__, cls.title = completed(cls, note), vars(cls).get("title", cls.__name__)

    def __new__(cls, *_: Any, **options: Any) -> Self:
        method = super().__new__(cls)
        nn.Module.__init__(method)  # before the first field is set
        method.register_load_state_dict_pre_hook(_prepared_for)  # type: ignore[no-untyped-call]
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
        self.graph = self.default_graph() if self.graph is None else self.graph

    def default_graph(self) -> Graph:
        """W where none is given."""
        if self.teacher is not None:
            return everyone()
        return complete() if self.needs.peers or self.needs.teacher else none()

    @property
    def peer_graph(self) -> Graph:
        """Who learns from which peer."""
        return self.graph if self.teacher is None or self.needs.peers else none()

    @property
    def tells(self) -> Exchange | None:
        """What peers tell each other; None where each learns by itself, or from a teacher, or all are branches."""
        peers = self.needs.peers or (self.needs.teacher == "frozen" and self.teacher is None)
        if not peers or self.needs.branches:
            return None
        return Exchange("features" if self.needs.parameters else "posteriors")

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
                sources = self.teacher(self._inputs_of_teachers(len(cohort), batch))
        features = {name: cohort.share(feature) for name, feature in sources.features.items()}
        return students, Outputs(cohort.share(sources.logits), features)

    def _inputs_of_teachers(self, peers: int, batch: Batch) -> Any:
        """The batch's inputs; of private ones, those of each block's first peer: only what is common is compared."""
        if not batch.private or self.needs.shards:
            return batch.x
        teachers, blocks = len(self.teacher or ()), self.graph.blocks
        first = [teacher * blocks // teachers * (peers // blocks) for teacher in range(teachers)]
        return PerPeer(pytree.tree_map(lambda *t: torch.stack(t), *[of_peer(batch.x, peer, peers) for peer in first]))

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

    def logits(self, cohort: Peers, batch: Batch) -> tuple[Tensor, Tensor]:
        """The students' ``[P, B, C]``, and those that they imitate, ``[Q, B, C]``: see `students_and_sources`."""
        students, sources = self.students_and_sources(cohort, batch)
        same_classes(students.logits, sources.logits)
        return students.logits, sources.logits

    def __call__(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        cohort = peers_of(cohort, self)
        self.check_task(batch)
        if not self._checked:
            self._checked = True
            warn_of_identical(cohort, self.peer_graph)
        with one_pass():
            terms: Terms = super().__call__(cohort, batch, progress)
        return terms


def _prepared_for(
    method: nn.Module, state: Mapping[str, Tensor], prefix: str, _: object, strict: bool, *__: object
) -> None:
    """A hook before `load_state_dict`: a saved state that needs `prepare` first is an error that says so."""
    own = {name for name, _ in (*method.named_parameters(), *method.named_buffers(), *method.named_children())}
    inside = (key.removeprefix(prefix) for key in state if key.startswith(prefix))
    if strict and (absent := [key for key in inside if key not in own and key.partition(".")[0] not in own]):
        raise NotPrepared(
            f"the saved state of {type(method).__name__} has {absent[0]!r}, and it has no such tensor yet: call "
            "method.prepare(cohort, batch) before load_state_dict"
        )


class Imitation(Method):
    """A method whose peers imitate posteriors: D is r(t) * mean over x in ON of s(x) D(target(q), p_i).

    q is whatever the method imitates, ON the samples that peers have in common: where each has labelled samples of its
    own (``shards``), the unlabelled ones. r(t) = 0 before the burn-in, then the `ramp`.

    Args:
        on: ON: ``all``, ``labelled`` or ``unlabelled`` samples.
        target: ``soft``, q itself; ``hard``, its argmax; ``sharpened:T``, a temperature for q alone; ``top:k``, its k
            largest probabilities and the sum of the others.
        select: s(x) = 1, else 0: ``all``; ``confident:THRESHOLD``, where q is; ``agree``, where q chooses the student's
            class; ``small_loss:rate=0.2;ramp=0.05``, the labelled samples on which q's own cross-entropy is least.
        burn_in: fraction of the training before which r = 0.
        ramp: fraction of the training over which r rises to 1 then (see `ramp`); 0: at once.

    Attributes:
        kept: the fraction of ON that was selected in the last call, ``[P]``; None where all are.
    """

    note = "In general D is r(t) mean over x in ON of s(x) D(target(q), p_i), q what is imitated: see `Imitation`."
    kept: ClassVar[Tensor | None] = None
    _: KW_ONLY
    on: Choice = Choice("all", "labelled", "unlabelled")
    target: TargetOption = TargetOption("soft")
    select: SelectOption = SelectOption("all")
    burn_in: Fraction = Fraction(0.0)
    ramp: Fraction = Fraction(0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on == "unlabelled" and self.select is not None and self.select.labels:
            raise ValueError("select=small_loss judges by labels, and on='unlabelled' has none: set on=labelled")
        divergence = getattr(self, "divergence", None)
        if divergence is not None:
            self.target.compared_by(divergence)

    @property
    def tells(self) -> Exchange | None:
        told = super().tells
        return told and replace(told, on=self.on, begins=self.burn_in)

    def along(
        self,
        divergence: Divergence,
        *,
        students: Tensor,
        sources: Tensor,
        of: Batch,
        progress: float | None,
        **other: Any,
    ) -> Tensor:
        """Along the method's graph at its temperature, unless others are given: ``[P]``.

        A sample is judged by the mean posterior of a student's sources.
        """
        own = {"graph": self.graph, "temperature": self.temperature, **other}

        def others() -> Tensor:
            return mean_posterior(own["graph"], sources, len(students), of.task)

        of = self.compared(of)
        selected, sources = self.selected(others, students, of, progress), self.target.logits(sources, of.task)
        compare = self.target.compared_by(divergence)
        values = along(divergence=compare, students=students, sources=sources, of=of, selected=selected, **own)
        return self.strength(progress) * values

    def imitate(
        self, divergence: Divergence, *, students: Tensor, of: Batch, progress: float | None, **target: Any
    ) -> Tensor:
        """`imitate` one target each at the method's temperature, unless another is given: ``[P]``."""

        def imitated() -> Tensor:
            p: Tensor = log_posterior(target["sources"], of.task).exp() if "sources" in target else target["posteriors"]
            return p

        of = self.compared(of)
        selected = self.selected(imitated, students, of, progress)
        own = {"temperature": self.temperature, **target}
        if "sources" in own:
            own["sources"] = self.target.logits(own["sources"], of.task)
        else:
            own["posteriors"] = self.target.posteriors(own["posteriors"])
        compare = self.target.compared_by(divergence)
        return self.strength(progress) * imitate(compare, students=students, of=of, selected=selected, **own)

    def compared(self, batch: Batch) -> Batch:
        """The batch with those of ON in its mask.

        Raises:
            ValueError: see `check_private`.
        """
        private = batch.private and not self.needs.shards
        if private:
            self.check_private()
        if self.on == "all" and not private:
            return batch
        labelled = (batch.y >= 0).all(-1) if batch.task == "multilabel" else batch.y >= 0
        chosen = labelled if self.on == "labelled" else ~labelled
        return replace(batch, mask=chosen if batch.mask is None else chosen * batch.mask)

    def check_private(self) -> None:
        """Raises a ValueError where labelled samples are to be compared, and each peer has its own."""
        if self.on == "labelled":
            raise ValueError("on='labelled': peers have labelled samples of their own (shards): set on=unlabelled")
        if self.select is not None and self.select.labels:
            raise ValueError(
                "select=small_loss judges by labels, and the samples that peers have in common (shards) have none: set "
                "select to all, agree or confident:0.95"
            )

    def strength(self, progress: float | None) -> float:
        """r(t); 1 where nobody knows the progress."""
        if progress is None:
            return 1.0
        return 0.0 if progress < self.burn_in else ramp(progress - self.burn_in, self.ramp)

    @torch.no_grad()
    def selected(
        self, imitated: Callable[[], Tensor], students: Tensor, batch: Batch, progress: float | None
    ) -> Tensor | None:
        """s(x), ``[P, B]``, judged by the posterior of what is imitated; None where all samples are."""
        if self.select is None:
            return None
        own = log_posterior(students.detach(), batch.task)
        selected = self.select(imitated().log().expand_as(own), own, batch, progress)
        counted = torch.ones_like(selected) if batch.mask is None else (batch.mask != 0).expand_as(selected)
        kept = (selected & counted).flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)
        vars(self)["kept"] = kept
        return selected


def mean_posterior(graph: Graph, sources: Tensor, students: int, task: str) -> Tensor:
    """The mean posterior of each student's sources by their weights, of logits ``[Q, B, ..., C]``."""
    p = blend(graph, logits=sources, students=students, task=task)
    return p / p.sum(-1, keepdim=True).clamp(min=torch.finfo(p.dtype).tiny)


def warn_of_identical(cohort: Peers, graph: Graph) -> None:
    """Warn of peers with the same weights that an edge joins: their divergence is 0, they teach each other nothing."""
    w, held = graph.matrix(len(cohort)), set(cohort.held)
    for i, j in w.nonzero().tolist():
        if not {i, j} <= held:
            continue
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
