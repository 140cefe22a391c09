"""Copies of peers that another process trains, as they were when it last told of them."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from codistill.cohort.groups import Group, Leaf, Raw, Rows, Single, arrange


class Stale(Group):
    """A copy of a peer that another process trains: it predicts in eval mode, and learns nothing here."""

    def __init__(self, net: nn.Module, peer: int, turn: int) -> None:
        super().__init__((peer,), turn)
        self.copy = Single(net.requires_grad_(False), peer, turn)
        self.train()

    def train(self, mode: bool = True) -> "Stale":
        super().train(False)
        return self

    def run(self, x: object, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        with torch.no_grad():
            return self.copy.run(x, rows, taps, False)

    def leaves(self) -> Iterator[Leaf]:
        yield from self.copy.leaves()

    def network(self, row: int) -> nn.Module:
        return self.copy.network(row)

    def take(self, rows: Rows, peers: Sequence[int]) -> "Stale":
        return Stale(self.copy.take(rows, peers).net, peers[0], self.turn)


def beside(nets: Sequence[nn.Module], execute: str, turns: Sequence[int], own: Sequence[int]) -> list[Group]:
    """The groups of the peers that this process trains, and of copies of the others.

    Raises:
        ValueError: there is no such peer, or all of them are to be trained here.
    """
    if not own or not set(own) < set(range(len(nets))):
        last = len(nets) - 1
        raise ValueError(f"own={' '.join(map(str, own)) or 'none'}: of the peers 0 to {last}, give some, and not all")
    trained = arrange([nets[i] for i in own], execute, [turns[i] for i in own], own)
    return [*trained, *(Stale(net, i, turns[i]) for i, net in enumerate(nets) if i not in own)]
