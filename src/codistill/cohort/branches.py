"""Branches: peers that share a trunk and go their own ways from one submodule on."""

import copy
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from codistill.batch import PerPeer
from codistill.cohort.groups import Group, Leaf, Raw, Rows, Single, Stack, alike, call
from codistill.names import UnknownName


class Branches(Group):
    """One trunk, run once, and the heads of all peers, run as a stack or one after the other.

    A peer's state is its head's and the trunk's. The trunk's gradient is the sum over the branches, times
    ``trunk_scale``. Taps are of heads.
    """

    trunk_scale: float = 1.0

    def __init__(self, trunk: nn.Module, heads: Sequence[Group], peers: Sequence[int], turn: int = 0) -> None:
        super().__init__(peers, turn)
        self.trunk = trunk
        self.heads = nn.ModuleList(heads)

    def run(self, x: Any, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        if isinstance(x, PerPeer):
            x = pytree.tree_map(lambda t: t[0], x.inputs)
        state = {name: b.clone() for name, b in self.trunk.named_buffers()} if keep_buffers else None
        stem, _ = call(self.trunk, state, x, ())
        if self.trunk_scale != 1.0:
            stem = stem * self.trunk_scale + (1.0 - self.trunk_scale) * stem.detach()
        parts = [head.run(stem, range(len(head.peers)), taps, keep_buffers) for head in self._heads()]
        logits = torch.cat([z for z, _ in parts])
        features = {tap: torch.cat([f[tap] for _, f in parts]) for tap in taps}
        if list(rows) == list(range(len(self.peers))):
            return logits, features
        return logits[list(rows)], {tap: f[list(rows)] for tap, f in features.items()}

    def _heads(self) -> list[Group]:
        return list(self.heads)  # type: ignore[arg-type]

    def leaves(self) -> Iterator[Leaf]:
        tensors = (*self.trunk.named_parameters(), *self.trunk.named_buffers())
        # The trunk is the first peer's to clip and to save the optimizer's state of.
        yield from (Leaf(self.peers[:1], name, tensor, stacked=False) for name, tensor in tensors)
        for head in self._heads():
            for leaf in head.leaves():
                yield leaf._replace(peers=tuple(self.peers[i] for i in leaf.peers))

    def state(self, row: int) -> dict[str, Tensor]:
        own = dict((*self.trunk.named_parameters(), *self.trunk.named_buffers()))
        for head in self._heads():
            if row in head.peers:
                own |= head.state(head.peers.index(row))
        return own

    def network(self, row: int) -> nn.Module:
        head = next(head for head in self._heads() if row in head.peers)
        own = head.network(head.peers.index(row))
        return nn.Sequential(OrderedDict([*copy.deepcopy(self.trunk).named_children(), *own.named_children()]))

    def take(self, rows: Rows) -> Group:
        if list(rows) != list(range(len(self.peers))):
            raise ValueError("branches of one trunk are copied together, not one without the others")
        heads = []
        for head in self._heads():
            copied = head.take(range(len(head.peers)))
            copied.peers = head.peers
            heads.append(copied)
        return Branches(copy.deepcopy(self.trunk), heads, range(len(self.peers)), self.turn)


def _cut(net: nn.Module, at: str) -> tuple[nn.Module, nn.Module]:
    """A network before a submodule, and from it on; names stay."""
    children = list(net.named_children())
    names = [name for name, _ in children]
    if not isinstance(net, nn.Sequential):
        raise ValueError(f"branch_at={at!r}: {type(net).__name__} is no nn.Sequential, so it cannot be cut there")
    if at not in names[1:]:
        raise UnknownName(f"submodule to branch at in {type(net).__name__}", at, names[1:])
    place = names.index(at)
    return nn.Sequential(OrderedDict(children[:place])), nn.Sequential(OrderedDict(children[place:]))


def branch(nets: Sequence[nn.Module], at: str, trunks: Sequence[int], execute: str) -> list[Group]:
    """One group for each trunk; the trunk is that of the first of its networks.

    Raises:
        ValueError: the networks cannot be cut at that submodule, or are unlike before it.
    """
    groups: list[Group] = []
    for number in dict.fromkeys(trunks):
        peers = [i for i, trunk in enumerate(trunks) if trunk == number]
        cuts = [_cut(nets[i], at) for i in peers]
        if not all(alike(cuts[0][0], trunk) for trunk, _ in cuts):
            raise ValueError(f"branch_at={at!r}: networks that share a trunk have to be alike before it")
        heads = [head for _, head in cuts]
        stacked = execute == "stack" and len(heads) > 1 and all(alike(heads[0], head) for head in heads)
        own: list[Group] = (
            [Stack(heads, range(len(heads)), 0)] if stacked else [Single(head, i, 0) for i, head in enumerate(heads)]
        )
        groups.append(Branches(cuts[0][0], own, peers))
    return groups
