"""Features of students and of what they imitate."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from codistill.batch import Batch
from codistill.cohort import Cohort, Outputs, Peers
from codistill.cohort.taps import before_relu
from codistill.graph import FeatureLoss, Graph, along_features, edges
from codistill.losses.posterior import full_precision


def feature_names(features: str | int) -> tuple[str, ...]:
    """Submodules by name, joined by ``/``; ``fc:input`` is what goes into fc.

    Raises:
        ValueError: no name, or one twice.
    """
    names = tuple(str(features).split("/"))  # str: a submodule may be called 4
    if "" in names or len(set(names)) < len(names):
        raise ValueError(f"features={features!r}: give each name once, joined by /, as stage1/stage2")
    return names


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

    @property
    def together(self) -> bool:
        """Whether `along_features` takes all edges at once."""
        return isinstance(self.students, Tensor) and isinstance(self.sources, Tensor)

    def edges(self, graph: Graph) -> list[tuple[int, int]]:
        """Student and source of each edge."""
        return list(edges(graph, len(self.students), len(self.sources)))


class Features:
    """Named features, compared along the edges of a graph.

    Args:
        names: see `feature_names`.
        pre_relu: of each submodule, what goes into its last ReLU; see `before_relu`.
    """

    def __init__(self, names: str | int, *, pre_relu: bool = False) -> None:
        self.names = feature_names(names)
        self.pre_relu = pre_relu

    def prepare(
        self,
        graph: Graph,
        cohort: Peers,
        teacher: Cohort | None,
        batch: Batch,
        *,
        maps: bool = False,
        same_size: bool = True,
    ) -> list[Pair]:
        """Tap the networks: the features of a first batch, from a pass without gradient.

        Args:
            graph: W[student, source].
            cohort: the students.
            teacher: the sources; None: the students.
            batch: a first one.
            maps: features need channel maps, ``[C, ...]``.
            same_size: maps need the same positions on both sides.

        Raises:
            UnknownName: a submodule that a network does not have, with the nearest that it has.
            ValueError: features of shapes that cannot be compared.
        """
        for peers in (cohort, teacher):
            if peers is not None:
                self._tap(peers)
        students = cohort.probe(batch)
        pairs = self.pairs(students, students if teacher is None else teacher.probe(batch))
        for pair in pairs:
            for i, j in pair.edges(graph):
                self._check(pair, i, j, "peer" if teacher is None else "teacher", maps, same_size)
        return pairs

    def pairs(self, students: Outputs, sources: Outputs) -> list[Pair]:
        """The features by name, in order."""
        keys = [self._key(name) for name in self.names]
        if not set(keys) <= students.features.keys():
            raise ValueError("this method taps features: call method.prepare(cohort, batch) before the first step")
        both = [(_full(students.features[key]), _full(sources.features[key])) for key in keys]
        return [Pair(name, *pair) for name, pair in zip(self.names, both, strict=True)]

    def along(
        self,
        graph: Graph,
        loss: FeatureLoss | nn.ModuleList,
        *,
        students: Outputs,
        sources: Outputs,
        of: Batch,
    ) -> Tensor:
        """Mean over the features of sum over j of W_ij L(f_i, f_j), ``[P]``.

        Args:
            graph: W.
            loss: L of every feature; or modules, one to a feature, that are also given the edge (see `along_features`).
            students: of the batch.
            sources: likewise.
            of: the batch. It has no mask: features of all samples are compared.
        """
        if of.mask is not None:
            raise ValueError(
                "batch.mask: features of all samples are compared; leave out of the batch what is not to be"
            )
        pairs, numbered = self.pairs(students, sources), isinstance(loss, nn.ModuleList)
        losses: Sequence[FeatureLoss] = list(loss) if isinstance(loss, nn.ModuleList) else [loss] * len(pairs)
        values = [
            along_features(graph, one, students=pair.students, sources=pair.sources, numbered=numbered)
            for pair, one in zip(pairs, losses, strict=True)
        ]
        return torch.stack(values).mean(0)

    def _key(self, name: str) -> str:
        """Another one where the tap is another: a stack has one tap for each feature."""
        return f"{name} before ReLU" if self.pre_relu else name

    def _tap(self, peers: Peers) -> None:
        nets = [peers.network(i) for i in range(len(peers))] if self.pre_relu else []
        for name in self.names:
            peers.tap(self._key(name), [before_relu(net, name) for net in nets] if self.pre_relu else name)

    def _check(self, pair: Pair, i: int, j: int, who: str, maps: bool, same_size: bool) -> None:
        shapes = [list(feature.shape[1:]) for feature in (pair.students[i], pair.sources[j])]
        both = f"feature {pair.name!r} is {shapes[0]} in peer {i} and {shapes[1]} in {who} {j}"
        fix = f"set features (now {'/'.join(self.names)})"
        if maps and min(map(len, shapes)) < 2:
            raise ValueError(f"{both}: this method compares channel maps [C, H, W]; {fix} to layers that give them")
        if same_size and shapes[0][1:] != shapes[1][1:]:
            raise ValueError(
                f"{both}: this method compares maps of the same height and width; {fix} to layers where they are, "
                "or give both networks the same strides"
            )


def _full(feature: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    return full_precision(feature) if isinstance(feature, Tensor) else [full_precision(one) for one in feature]


__all__ = ["Features", "Pair", "feature_names"]
