"""Branches: peers that share a trunk and go their own ways from one submodule on."""

import copy
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from codistill.batch import PerPeer
from codistill.cohort.groups import (
    Group,
    Leaf,
    Raw,
    Rows,
    Single,
    alike,
    arrange,
    call,
    convolutions_last,
    images_last,
    rows_of,
)
from codistill.spec import UnknownName


class Branches(Group):
    """One trunk, run once, and the heads of all peers, run as a stack or one after the other.

    A peer's state is its head's and the trunk's. A tap of the trunk gives every peer the same feature.

    Attributes:
        at: the heads' first submodule; ``f"{at}:input"`` taps what the trunk gives.
        trunk_scale: the trunk's gradient is the sum over the branches times this.
        channels_last: whether the heads are run so, and the trunk with them.
        writes: whether heads have in-place modules, which may write over what the other heads are given.
    """

    trunk_scale: float = 1.0

    def __init__(self, trunk: nn.Module, heads: Sequence[Group], peers: Sequence[int], at: str, writes: bool) -> None:
        super().__init__(peers, 0)
        self.trunk, self.at, self.writes = trunk, at, writes
        self.heads = nn.ModuleList(heads)
        self._checked = False
        self.channels_last = any(isinstance(head, Single) and head.channels_last for head in heads)
        if self.channels_last:
            convolutions_last(trunk)

    def run(self, x: Any, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        x = self._shared(x) if isinstance(x, PerPeer) else x
        x = images_last(x) if self.channels_last else x
        state = {name: b.clone() for name, b in self.trunk.named_buffers()} if keep_buffers else None
        below = {name for name, _ in self.trunk.named_children()}
        low = [tap for tap in taps if tap.partition(":")[0].partition(".")[0] in below]
        high = [tap for tap in taps if tap not in low]
        stem, features = call(self.trunk, state, x, low)
        if self.trunk_scale != 1.0 and stem.requires_grad:
            scale = self.trunk_scale
            stem = stem.view_as(stem)  # a hook of our own: a tap of the trunk is not scaled
            stem.register_hook(lambda grad: grad * scale)  # type: ignore[no-untyped-call]
        features = {tap: f.expand(len(rows), *f.shape) for tap, f in features.items()}
        parts, order = [], []
        for head in self._heads():
            own = [place for place, peer in enumerate(head.peers) if peer in rows]
            if own:
                parts.append(head.run(stem.clone() if self.writes else stem, own, high, keep_buffers))
                order += [rows.index(head.peers[place]) for place in own]
        back = [order.index(i) for i in range(len(rows))]

        def gather(tensors: list[Tensor]) -> Tensor:
            return rows_of(tensors[0] if len(tensors) == 1 else torch.cat(tensors), back)

        return gather([z for z, _ in parts]), features | {tap: gather([f[tap] for _, f in parts]) for tap in high}

    def _shared(self, x: PerPeer) -> Any:
        """The inputs of all peers, that they have to share; looked at in the first pass, not to wait in every one."""
        tensors = pytree.tree_leaves(x.inputs)
        if not self._checked and any(not t[i].equal(t[0]) for t in tensors for i in range(1, len(t))):
            raise ValueError(
                "branches of one trunk were given inputs that differ from peer to peer: give them the same, or let "
                "networks share no trunk (leave branch_at out)"
            )
        self._checked = True
        return pytree.tree_map(lambda t: t[0], x.inputs)

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
        head, place = self._head(row)
        return dict((*self.trunk.named_parameters(), *self.trunk.named_buffers())) | head.state(place)

    def network(self, row: int) -> nn.Module:
        head, place = self._head(row)
        trunk = self.trunk if isinstance(head, Single) else copy.deepcopy(self.trunk)
        return nn.Sequential(OrderedDict([*_children(trunk), *_children(head.network(place))]))

    def _head(self, row: int) -> tuple[Group, int]:
        head = next(head for head in self._heads() if row in head.peers)
        return head, head.peers.index(row)

    def take(self, rows: Rows, peers: Sequence[int]) -> "Branches":
        if list(rows) != list(range(len(self.peers))):
            raise ValueError("branches of one trunk are copied together, not one without the others")
        heads = [head.take(range(len(head.peers)), head.peers) for head in self._heads()]
        return Branches(copy.deepcopy(self.trunk), heads, peers, self.at, self.writes)


def trunk_of(groups: Sequence[Group], peers: Sequence[int]) -> Branches:
    """The trunk of peers, from the groups that execute them.

    Raises:
        ValueError: they are not the branches, all of them, of one trunk.
    """
    trunk = groups[0]
    if len(groups) != 1 or not isinstance(trunk, Branches) or trunk.peers != tuple(peers):
        raise ValueError(
            f"this method needs its {len(peers)} peers to be the branches of one trunk: set branch_at, e.g. stage3 "
            "(Cohort(nets, branch_at='stage3') in your own loop)"
        )
    return trunk


def _children(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """Submodules in order, one that stands in two places twice (`nn.Module.named_children` leaves it out)."""
    return [(n, m) for n, m in net.named_modules(remove_duplicate=False) if n and "." not in n]


def _cut(net: nn.Module, at: str) -> tuple[nn.Module, nn.Module]:
    """A network before a submodule, and from it on; names stay."""
    if not isinstance(net, nn.Sequential) or type(net).forward is not nn.Sequential.forward:
        raise ValueError(f"branch_at={at!r}: {type(net).__name__} is no nn.Sequential, so it cannot be cut there")
    if net._forward_pre_hooks:
        raise ValueError(
            f"branch_at={at!r}: a hook before the whole network, such as that of view=, would be lost: leave it out"
        )
    children = _children(net)
    names = [name for name, _ in children]
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
        writes = any(getattr(module, "inplace", False) for head in heads for module in head.modules())
        groups.append(Branches(cuts[0][0], arrange(heads, execute, [0] * len(heads)), peers, at, writes))
    return groups
