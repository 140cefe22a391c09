"""What a method needs of data, peers and networks."""

from dataclasses import dataclass
from typing import Literal

from codistill.losses.posterior import TASKS


@dataclass(frozen=True)
class Needs:
    """What a method needs; the checks before the first step, the listing and ``docs/methods.md`` are made from it.

    Attributes:
        peers: peers learn from each other, so their number matters.
        teacher: a ``frozen`` teacher (with ``teacher=none``, where there is such an option, peers take its place), or a
            network's own ``past`` self: in a comparison, the one with its initial weights that was trained alone.
        unlabelled: it learns from samples without a label too.
        views: distorted views of a batch; those after the first are ``batch.views``.
        own_views: each peer has a view of its own.
        partners: ``batch.partner``, another sample of the same class for each.
        index: ``batch.index``, the samples' numbers in the data set.
        branches: peers are branches of one trunk.
        shards: peers may have samples of their own: predictions are never compared across batches.
        common: peers may have labelled samples of their own if they also have common, unlabelled ones: it compares
            what peers make of those alone (see `Imitation`).
        parameters: it has parameters of its own, with the options' defaults and networks of one architecture.
        tasks: of a batch, those that it can learn.
        couples: peers meet along the ``edges`` of a Graph alone, or not at all, and `prepare` draws nothing: then one
            object may serve runs of several seeds, its graphs repeated for each. Or they meet as one ``cohort``: each
            run has an object of its own.
    """

    peers: bool = False
    teacher: Literal["", "frozen", "past"] = ""
    unlabelled: bool = False
    views: int = 1
    own_views: bool = False
    partners: bool = False
    index: bool = False
    branches: bool = False
    shards: bool = False
    common: bool = False
    parameters: bool = False
    tasks: tuple[str, ...] = TASKS
    couples: Literal["edges", "cohort"] = "cohort"

    @property
    def augmentation(self) -> bool:
        """Whether it needs distorted views."""
        return self.views > 1 or self.own_views

    def __str__(self) -> str:
        words = {
            "peers": self.peers and not self.branches,
            "branches of one trunk": self.branches,
            "its past self": self.teacher == "past",
            "a teacher" if self.peers else "a teacher, or peers": self.teacher == "frozen",
            "labels": not self.unlabelled,
            "a view for each peer": self.own_views,
            f"{self.views} views": self.views > 1,
            "another sample of each one's class": self.partners,
            "numbered samples": self.index,
            f"a task of {' or '.join(self.tasks)}": not {"tokens", "multilabel"} <= set(self.tasks),
        }
        return "; ".join(need for need, holds in words.items() if holds)
