"""Features of students and of what they imitate."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.cohort.taps import before_relu
from codistill.graph import FeatureLoss, Graph, along_features, edges
from codistill.losses.posterior import full_precision
from codistill.methods import Peers
from codistill.methods.parts.sources import Sources
from codistill.randomness import seeded


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


class Features(nn.Module):
    """Named features of students and of what they imitate.

    Args:
        names: of submodules, joined by ``/``; ``fc:input`` is what goes into fc.
        teacher: see `Sources`.
        graph: see `Sources`.
        pre_relu: of each submodule, what goes into its last ReLU; see `before_relu`.

    Raises:
        ValueError: no name, or one twice.
    """

    def __init__(
        self, names: str | int, teacher: Cohort | None, graph: str | Graph | None, *, pre_relu: bool = False
    ) -> None:
        super().__init__()
        self.sources = Sources(teacher, graph)
        self.names = str(names).split("/")  # str: a submodule may be called 4
        if "" in self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"features={names!r}: give each name once, joined by /, as stage1/stage2")
        self.pre_relu = pre_relu
        self.ready = False

    @property
    def between_peers(self) -> Graph | None:
        """Who learns from which peer; None where a teacher is imitated."""
        return self.sources.peer_graph

    def prepare(self, cohort: Peers, batch: Batch, *, maps: bool = False, alike: bool = True) -> list[Pair]:
        """Tap the networks: the features of a first batch, from a pass without gradient.

        Args:
            cohort: the students.
            batch: a first one.
            maps: features need channel maps, ``[C, ...]``.
            alike: maps need the same positions on both sides.

        Raises:
            UnknownName: a submodule that a network does not have, with the nearest that it has.
            ValueError: features of shapes that cannot be compared.
        """
        for peers in (cohort, self.sources.teacher):
            if peers is not None:
                self._tap(peers)
        self.ready = True
        with torch.no_grad(), seeded(cohort.device, 0):  # dropout takes no numbers from those of our own parameters
            _, pairs = self.forward(cohort, batch)
        for pair in pairs:
            self._check(pair, maps, alike)
        return pairs

    def forward(self, cohort: Peers, batch: Batch) -> tuple[Tensor, list[Pair]]:
        """The students' logits ``[P, B, C]``, and the features by name in order."""
        if not self.ready:
            raise ValueError("this method taps features: call method.prepare(cohort, batch) before the first step")
        if batch.mask is not None:
            raise ValueError(
                "batch.mask: features of all samples are compared; leave out of the batch what is not to be"
            )
        students, sources = self.sources(cohort, batch.x)
        keys = [self._key(name) for name in self.names]
        found = [(_full(students.features[key]), _full(sources.features[key])) for key in keys]
        return students.logits, [Pair(name, *both) for name, both in zip(self.names, found, strict=True)]

    def mean(self, pairs: Sequence[Pair], loss: FeatureLoss | nn.ModuleList) -> Tensor:
        """Mean over the features of sum over j of W_ij L(f_i, f_j), ``[P]``.

        Args:
            pairs: of `forward`.
            loss: L of every feature; or modules, one to a feature, that are also told the edge (see `along_features`).
        """
        own = isinstance(loss, nn.ModuleList)
        losses: list[FeatureLoss] = list(loss) if isinstance(loss, nn.ModuleList) else [loss] * len(pairs)
        values = [
            along_features(self.sources.graph, one, students=pair.students, sources=pair.sources, numbered=own)
            for pair, one in zip(pairs, losses, strict=True)
        ]
        return torch.stack(values).mean(0)

    def edges(self, pair: Pair) -> list[tuple[int, int]]:
        """Student and source of each edge."""
        return list(edges(self.sources.graph, len(pair.students), len(pair.sources)))

    def _key(self, name: str) -> str:
        """Another one where the tap is another: a stack has one tap for each feature."""
        return f"{name} before ReLU" if self.pre_relu else name

    def _tap(self, peers: Peers) -> None:
        nets = [peers.network(i) for i in range(len(peers))] if self.pre_relu else []
        for name in self.names:
            peers.tap(self._key(name), [before_relu(net, name) for net in nets] if self.pre_relu else name)

    def _check(self, pair: Pair, maps: bool, alike: bool) -> None:
        who = "peer" if self.sources.teacher is None else "teacher"
        for i, j in self.edges(pair):
            shapes = [list(feature.shape[1:]) for feature in (pair.students[i], pair.sources[j])]
            both = f"feature {pair.name!r} is {shapes[0]} in peer {i} and {shapes[1]} in {who} {j}"
            fix = f"set features (now {'/'.join(self.names)})"
            if maps and min(map(len, shapes)) < 2:
                raise ValueError(f"{both}: this method compares channel maps [C, H, W]; {fix} to layers that give them")
            if alike and shapes[0][1:] != shapes[1][1:]:
                raise ValueError(
                    f"{both}: this method compares maps of the same height and width; {fix} to layers where they are, "
                    "or give both networks the same strides"
                )


def _full(feature: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
    return full_precision(feature) if isinstance(feature, Tensor) else [full_precision(one) for one in feature]
