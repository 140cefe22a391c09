"""What a step learns from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

OPAQUE = (
    "batch.x is the handle of a step's inputs: give it to a cohort as it is, cohort(batch.x). Its tensors are "
    "batch.x.value; a pass of what is computed from them is not shared, and leaves batch statistics as they are"
)


@dataclass(frozen=True, eq=False)
class PerPeer:
    """Inputs of which peers have their own: each tensor is ``[P, B, ...]``, or ``[n, B, ...]`` where P/n peers that
    follow each other share a batch."""

    inputs: Any


@dataclass(frozen=True, eq=False)
class Inputs:
    """A step's inputs as `train` gives them to a method: a handle, to be given to a cohort as it is.

    Whoever gives a cohort the same handle, or a part of the same inputs, shares one forward pass. In `train`, anything
    else is a pass of its own, which nobody shares and which leaves batch statistics and other buffers as they are.

    Attributes:
        value: the inputs of those peers that the handle was made for: a tensor or anything nested of tensors, or a
            `PerPeer`.
        whole: the inputs of which these are a part; None where they are all there is.
        owners: of a whole, the cohort's peers that its value is for.
    """

    value: Any
    whole: "Inputs | None" = None
    owners: tuple[int, ...] = ()

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(OPAQUE)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = _refuse
    __matmul__ = __getitem__ = __iter__ = _refuse

    @classmethod
    def __torch_function__(cls, *_: object) -> NoReturn:
        raise TypeError(OPAQUE)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(name if name.startswith("__") else f"{name!r}: {OPAQUE}")


def value_of(x: Any) -> Any:
    """The inputs themselves, whether they come with a handle or not; a tokenizer's are a dict like any other."""
    value = x.value if isinstance(x, Inputs) else x
    return dict(value) if isinstance(value, Mapping) else value


def of_peer(x: Any, peer: int, peers: int) -> Any:
    """One peer's inputs ``[B, ...]`` of those that ``peers`` peers were given."""
    x = value_of(x)
    if not isinstance(x, PerPeer):
        return x
    blocks = len(pytree.tree_leaves(x.inputs)[0])
    return pytree.tree_map(lambda t: t[peer * blocks // peers], x.inputs)


UNKNOWN = torch.empty(0, dtype=torch.int64)  # the labels of a batch that is given none


@dataclass(frozen=True, eq=False)
class Batch:
    """Inputs and what is known of them.

    Attributes:
        x: the inputs: in `train` a handle, see `Inputs`; in your own loop a tensor ``[B, ...]``, or anything nested of
            tensors, for all peers; a `PerPeer` where peers have their own.
        y: labels ``[B]`` (see `cross_entropy` for other tasks), or with a leading peer dim; -1 is unlabelled. Left out:
            no sample has a label.
        views: other views of the same samples, in the form of x.
        index: the samples' numbers in the data set, ``[B]`` or ``[P, B]``.
        partner: another sample of the same class for each, in the form of x.
        mask: samples or tokens that count, in the form of y.
        task: ``classes | binary | multilabel | tokens``.
        smoothing: label smoothing of the task term, see `cross_entropy`.
        private: labelled samples are the peers' own; only unlabelled ones, the last of the batch, are common to all.
    """

    x: Any
    y: Tensor = UNKNOWN
    views: tuple[Any, ...] = ()
    index: Tensor | None = None
    partner: Any = None
    mask: Tensor | None = None
    task: str = "classes"
    smoothing: float = 0.0
    private: bool = False

    def __post_init__(self) -> None:
        if self.y is UNKNOWN:
            inputs = value_of(self.x)
            leaf = pytree.tree_leaves(inputs.inputs if isinstance(inputs, PerPeer) else inputs)[0]
            size = leaf.shape[1 if isinstance(inputs, PerPeer) else 0]
            object.__setattr__(self, "y", torch.full((size,), -1, device=leaf.device))

    def joint(self) -> "Batch":
        """For a prediction that belongs to no peer: labels and mask of the first peer where they have a peer dim."""
        dims = 2 if self.task in ("tokens", "multilabel") else 1
        y = self.y if self.y.dim() == dims else self.y[0]
        per_sample = 2 if self.task == "tokens" else 1
        mask = self.mask if self.mask is None or self.mask.dim() == per_sample else self.mask[0]
        return replace(self, y=y, mask=mask)
