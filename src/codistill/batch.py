"""What a step learns from."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class PerPeer:
    """Inputs of which peers have their own: each tensor is ``[P, B, ...]``, or ``[n, B, ...]`` where P/n peers that
    follow each other share a batch."""

    inputs: Any


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs and what is known of them.

    Attributes:
        x: the inputs: a tensor ``[B, ...]``, or anything nested of tensors, for all peers; a `PerPeer` where peers have
            their own.
        y: labels ``[B]`` (see `cross_entropy` for other tasks), or with a leading peer dim; -1 is unlabelled.
        views: other distortions of the same samples, in the form of x.
        index: the samples' numbers in the data set, ``[B]`` or ``[P, B]``.
        partner: another sample of the same class for each, in the form of x.
        mask: samples or tokens that count, in the form of y.
        task: ``classes | binary | multilabel | tokens``.
        smoothing: label smoothing of the task term, see `cross_entropy`.
    """

    x: Any
    y: Tensor
    views: tuple[Any, ...] = ()
    index: Tensor | None = None
    partner: Any = None
    mask: Tensor | None = None
    task: str = "classes"
    smoothing: float = 0.0

    def joint(self) -> "Batch":
        """For a prediction that belongs to no peer: labels and mask of the first peer where they have a peer dim."""
        dims = 2 if self.task in ("tokens", "multilabel") else 1
        y = self.y if self.y.dim() == dims else self.y[0]
        per_sample = 2 if self.task == "tokens" else 1
        mask = self.mask if self.mask is None or self.mask.dim() == per_sample else self.mask[0]
        return replace(self, y=y, mask=mask)
