"""Peers that another process trains."""

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import torch
from torch import nn

from codistill.cohort.groups import Group, Leaf, Raw, Rows, arrange, bundles
from codistill.cohort.sharded import Sharded
from codistill.exchange import Mesh


class Remote(Group):
    """Peers that another process trains: nothing of them is here, and what they predict comes from there.

    Attributes:
        place: where on the mesh's axis ``peer``.
        sizes: of each, the number of its parameters.
    """

    def __init__(self, peers: Sequence[int], turn: int, place: int, sizes: Sequence[int], device: torch.device) -> None:
        super().__init__(peers, turn)
        self.place, self.sizes = place, tuple(sizes)
        self.register_buffer("at", torch.empty(0, device=device), persistent=False)  # moves with its cohort

    def run(self, x: Any, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        return torch.empty(0), {}

    def leaves(self) -> Iterator[Leaf]:
        yield from ()

    def state(self, row: int) -> NoReturn:
        raise ValueError(
            f"peer {self.peers[row]} is trained by another process, and this asks for its weights: set mesh to peer=1"
        )

    def network(self, row: int) -> NoReturn:
        self.state(row)

    def take(self, rows: Rows, peers: Sequence[int]) -> "Remote":
        device = next(self.buffers()).device
        return Remote(peers, self.turn, self.place, [self.sizes[row] for row in rows], device)


def spread(nets: Sequence[nn.Module], execute: str, turns: Sequence[int], mesh: Mesh) -> list[Group]:
    """The groups of all peers, in an order that is the same in all processes; those of other places are `Remote`.

    Raises:
        ValueError: a place would have no peer.
    """
    if mesh.peer > len(nets):
        raise ValueError(f"mesh: peer={mesh.peer}, and there are {len(nets)} peers: set peer to {len(nets)} at most")
    groups: list[Group] = []
    for place in range(mesh.peer):
        peers = mesh.peers_at(place, len(nets))
        there, turn = [nets[i] for i in peers], [turns[i] for i in peers]
        if place == mesh.place:
            own = zip(there, peers, turn, strict=True)
            groups += [Sharded(*one, mesh) for one in own] if mesh.sharded else arrange(there, execute, turn, peers)
            continue
        for bundle in bundles(there, turn) if execute == "stack" else [[i] for i in range(len(there))]:
            sizes = [sum(p.numel() for p in there[i].parameters()) for i in bundle]
            device = next(there[bundle[0]].parameters()).device
            groups.append(Remote([peers[i] for i in bundle], turn[bundle[0]], place, sizes, device))
    return groups
