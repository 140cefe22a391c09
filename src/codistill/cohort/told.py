"""Peers of which this process knows what it was told: what they predict for the samples at hand."""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from codistill.batch import PerPeer
from codistill.cohort.groups import Group, Leaf, Raw, Rows, arrange


class Told(Group):
    """A peer of another silo: there is no network of it here, and it predicts what it was last said to.

    Attributes:
        classes: numbers that a peer predicts for a sample.
    """

    def __init__(self, peer: int, turn: int, classes: int, like: Tensor) -> None:
        super().__init__((peer,), turn)
        self.classes = classes
        self.register_buffer("said", like.new_zeros(0, classes), persistent=False)

    def tell(self, logits: Tensor) -> None:
        """What it predicts from now on, ``[B, C]``."""
        self.said = logits

    def run(self, x: Any, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        """What was told of so many samples; of others nothing is known, which is zeros."""
        leaf = pytree.tree_leaves(x.inputs)[0][0] if isinstance(x, PerPeer) else pytree.tree_leaves(x)[0]
        said = self.said if len(self.said) == len(leaf) else self.said.new_zeros(len(leaf), self.classes)
        return said.unsqueeze(0), {}

    def leaves(self) -> Iterator[Leaf]:
        yield from ()

    def state(self, row: int) -> NoReturn:
        raise ValueError(
            f"peer {self.peers[row]} is another silo's, which tells what it predicts and not its weights: choose a "
            "method that compares predictions alone"
        )

    def network(self, row: int) -> NoReturn:
        self.state(row)

    def take(self, rows: Rows, peers: Sequence[int]) -> "Told":
        return Told(peers[0], self.turn, self.classes, self.said)


def among(nets: Sequence[nn.Module], execute: str, turns: Sequence[int], own: int, classes: int) -> list[Group]:
    """The groups of the one peer that is trained here, and of those that this process is told of.

    Raises:
        ValueError: there is no such peer.
    """
    if own >= len(nets):
        raise ValueError(f"peer={own}: there are peers 0 to {len(nets) - 1}: give one of them, or raise peers")
    like = next(nets[own].parameters()).detach()
    trained = arrange([nets[own]], execute, [turns[own]], [own])
    return [*trained, *(Told(i, turns[i], classes, like) for i in range(len(nets)) if i != own)]


__all__ = ["Told", "among"]
