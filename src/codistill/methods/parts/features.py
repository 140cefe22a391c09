"""Methods whose students match features of what they imitate."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from codistill.cohort import Outputs
from codistill.cohort.taps import before_relu
from codistill.graph import FeatureLoss, Graph, along_features, edges
from codistill.losses.posterior import full_precision
from codistill.methods import Batch, Method, Peers, Terms, label_loss

MakeForEdges = Callable[..., nn.Module]  # of (E, student, source)


class Pair(NamedTuple):
    """One feature of the students and of their sources (detached), in float32 at least.

    Attributes:
        name: of the submodule.
        students: ``[P, B, C, ...]``, or a list of P tensors ``[B, C, ...]`` where their shapes differ.
        sources: ``[Q, B, C, ...]`` or a list.
    """

    name: str
    students: Tensor | list[Tensor]
    sources: Tensor | list[Tensor]

    def edges(self, graph: Graph) -> tuple[tuple[int, int], ...]:
        """Student and source of each edge."""
        return edges(graph, len(self.students), len(self.sources))


class Connected(nn.Module):
    """L(connector(student), source), or L(connector(student), source, weights(source)), on numbered edges.

    Args:
        loss: L.
        connectors: one for all edges, or one for each.
        weights: likewise, where L has them.
    """

    def __init__(self, loss: FeatureLoss, connectors: nn.ModuleList, weights: nn.ModuleList | None = None) -> None:
        super().__init__()
        self.loss, self.connectors, self.weights = loss, connectors, weights

    def forward(self, students: Tensor, sources: Tensor, edge: int | None) -> Tensor:
        """``[E]``; see `along_features` of `edge`."""
        students = self.connectors[edge or 0](students)
        more = () if self.weights is None else (self.weights[edge or 0](sources),)
        return self.loss(students, sources, *more)


class FeatureMethod(Method):
    """Students match features, mean over those that are tapped.  L_i = CE(z_i, y) + w * sum_j W_ij L(f_i, f_j)

    Args:
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.

    Attributes:
        compare: L, mean over samples: ``[E, B, ...]`` of both (and weights, see `Connected`) to ``[E]``.
        connector: what students' features go through (see `for_edges`).
        maps: features need channel maps, ``[C, ...]``.
        pre_relu: of each submodule, f is what goes into its last ReLU; see `before_relu`.
    """

    compare: ClassVar[FeatureLoss]
    connector: ClassVar[MakeForEdges | None] = None
    maps: ClassVar[bool] = False
    pre_relu: ClassVar[bool] = False

    def connectors(self, pair: Pair) -> tuple[nn.ModuleList, ...]:
        """What is learnt for the edges of a feature, if anything: connectors, and weights (see `Connected`)."""
        return () if self.connector is None else (for_edges(self.graph, pair, self.connector),)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        students = sources = self._tapped(cohort, batch)
        if self.teacher is not None:
            sources = self._tapped(self.teacher, batch)
        pairs = self.pairs(students, sources)
        for pair in pairs:
            for i, j in pair.edges(self.graph):
                self.check(pair, i, j)
        modules = filter(None, map(self.connectors, pairs))
        self.losses = nn.ModuleList(Connected(self.compare, *of_pair) for of_pair in modules)

    def _tapped(self, peers: Peers, batch: Batch) -> Outputs:
        nets = [peers.network(i) for i in range(len(peers))] if self.pre_relu else []
        for name, key in zip(self.features, self._keys, strict=True):
            peers.tap(key, [before_relu(net, name) for net in nets] or name)
        return peers.probe(batch)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        mimic = self.feature_loss(students, sources, batch)
        return {"task": label_loss(students.logits, batch), "mimic": self.weight * mimic}

    def feature_loss(self, students: Outputs, sources: Outputs, batch: Batch) -> Tensor:
        """Mean over the features of sum over j of W_ij L(f_i, f_j), ``[P]``."""
        if batch.mask is not None:
            raise ValueError(
                "batch.mask: features of all samples are compared; leave out of the batch what is not to be"
            )
        numbered = len(self.losses) > 0
        pairs = self.pairs(students, sources)
        losses: list[FeatureLoss] = list(self.losses) or [self.compare] * len(pairs)
        values = [
            along_features(self.graph, loss, students=pair.students, sources=pair.sources, numbered=numbered)
            for pair, loss in zip(pairs, losses, strict=True)
        ]
        return torch.stack(values).mean(0)

    def pairs(self, students: Outputs, sources: Outputs) -> list[Pair]:
        """The features by name, in order."""
        return [
            Pair(name, _full(students.features[key]), _full(sources.features[key]))
            for name, key in zip(self.features, self._keys, strict=True)
        ]

    @property
    def _keys(self) -> list[str]:
        """What features are called in the outputs: not as another method on the same cohort calls others."""
        return [f"{name} before ReLU" for name in self.features] if self.pre_relu else list(self.features)

    def check(self, pair: Pair, i: int, j: int) -> None:
        """Raises a ValueError where the features of student i and source j cannot be compared."""
        shapes = [list(feature.shape[1:]) for feature in (pair.students[i], pair.sources[j])]
        who = "peer" if self.teacher is None else "teacher"
        both = f"feature {pair.name!r} is {shapes[0]} in peer {i} and {shapes[1]} in {who} {j}"
        fix = f"set features (now {'/'.join(self.features)})"
        if self.maps and min(map(len, shapes)) < 2:
            raise ValueError(f"{both}: this method compares channel maps [C, H, W]; {fix} to layers that give them")
        if shapes[0][1:] != shapes[1][1:]:
            raise ValueError(
                f"{both}: this method compares maps of the same height and width; {fix} to layers where they are, "
                "or give both networks the same strides"
            )


def for_edges(graph: Graph, pair: Pair, make: MakeForEdges) -> nn.ModuleList:
    """``make(E, student, source)`` for all edges where features are of one shape, else one for each edge."""
    ends = [(pair.students[i], pair.sources[j]) for i, j in pair.edges(graph)]
    if isinstance(pair.students, Tensor) and isinstance(pair.sources, Tensor):
        return nn.ModuleList(make(len(ends), *both) for both in ends[:1])
    return nn.ModuleList(make(1, *both) for both in ends)


def _full(feature: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    return full_precision(feature) if isinstance(feature, Tensor) else [full_precision(one) for one in feature]
