"""Private shards: which peer has the labels of which examples; one kind to a file, the folder is the list."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from codistill.discovery import construct
from codistill.spec import Spec


@dataclass(frozen=True)
class Labels:
    """The labelled examples that are dealt out.

    Attributes:
        y: the class of each, ``[N]``.
        classes: names of the classes; empty where an example has several labels.
        group: the group of each, ``[N]``, where the data set tells.
        groups: names of the groups.
    """

    y: Tensor
    classes: tuple[str, ...]
    group: Tensor | None = None
    groups: tuple[str, ...] = ()


Deal = Callable[[Labels, int, int], list[Tensor]]  # labels, peers, seed -> the numbers of every peer's examples


def deal_out(spec: str | Spec, labels: Labels, peers: int, seed: int) -> list[Tensor]:
    """The numbers of every peer's examples: disjoint, and a function of the seed.

    A peer that has labels of a single class is warned of.

    Raises:
        UnknownName: no such kind or option, with the nearest that exist.
        ValueError: an invalid value, or a peer without labels.
    """
    deal: Deal = construct(__name__, spec)
    pieces = deal(labels, peers, seed)
    for peer, piece in enumerate(pieces):
        if not len(piece):
            raise ValueError(
                f"shards='{spec}' leaves peer {peer} of {peers} without any of the {len(labels.y)} labels: raise "
                "labels, or choose other shards"
            )
        seen = labels.y[piece].bincount().nonzero().flatten()
        if len(seen) == 1 and len(labels.classes) > 1:
            warnings.warn(
                f"shards='{spec}': all {len(piece)} labels of peer {peer} are of one class, "
                f"{labels.classes[seen[0]]!r}",
                stacklevel=2,
            )
    return pieces


def deal_classes(
    what: str, labels: Labels, classes_of: Sequence[Sequence[int]], fix: str = "give every class to at least one"
) -> list[Tensor]:
    """Deal each class out evenly among the peers that have it; what does not divide goes to those with fewest examples.

    Args:
        what: The kind of shards, for messages.
        labels: What is dealt out.
        classes_of: The classes of every peer, by number.
        fix: What to do where a class has no owner.

    Raises:
        ValueError: an example has several labels, or a class with examples has no owner.
    """
    check_classes(what, labels)
    pieces: list[list[Tensor]] = [[] for _ in classes_of]
    sizes = [0] * len(classes_of)
    for number, name in enumerate(labels.classes):
        examples = (labels.y == number).nonzero().flatten()
        owners = sorted((p for p, own in enumerate(classes_of) if number in own), key=sizes.__getitem__)
        if len(examples) and not owners:
            raise ValueError(f"{what}: class {name!r} belongs to no peer: {fix}")
        for place, peer in enumerate(owners):
            pieces[peer].append(examples[place :: len(owners)])
            sizes[peer] += len(pieces[peer][-1])
    return [joined(piece) for piece in pieces]


def joined(pieces: Sequence[Tensor]) -> Tensor:
    """Numbers of examples as one tensor, in ascending order."""
    return torch.cat([torch.zeros(0, dtype=torch.int64), *pieces]).sort().values


def check_classes(what: str, labels: Labels) -> None:
    """A ValueError where examples have several labels each, so that there are no classes to deal out."""
    if not labels.classes:
        raise ValueError(f"{what} goes by class, and these examples have several labels each: use equal or groups")
