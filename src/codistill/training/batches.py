"""The batches that a fleet's methods learn from: inputs that all share are one handle, whose forward pass is one."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from codistill.batch import Batch, Inputs, PerPeer, of_peer
from codistill.cohort.groups import on_device
from codistill.training.fleet import Member
from codistill.training.streams import Streams, Where


def draw(streams: Streams, members: Sequence[Member], where: Where) -> list[Batch]:
    """Every member's batch; `Inputs.whole` of its x is what all of the cohort's peers see."""
    _, y, index = streams.draw(where)
    partners = _partners(streams, members, where)
    views = _views(streams, members, where)
    return [
        Batch(
            x,
            _rows(y, member),
            views=tuple(views[number]),
            index=_rows(index, member),
            partner=partners.get(number),
            task=streams.task,
            smoothing=member.run.smoothing,
        )
        for number, (member, x) in enumerate(zip(members, _inputs(streams, members, where), strict=True))
    ]


def merged(member: Member, batches: Sequence[Batch]) -> Batch:
    """The batch that each peer learned from, as one, of the batches of every turn."""
    if len(batches) == 1:
        return batches[0]
    peers = range(len(member.slots))
    each = [batches[slot.turn] for slot in member.slots]
    plain = _row(member) is not None

    def inputs(values: Sequence[object]) -> Inputs:
        own = [of_peer(values[i], i, len(peers)) for i in peers]
        return Inputs(PerPeer(pytree.tree_map(lambda *tensors: torch.stack(tensors), *own)))

    def stacked(values: Sequence[Tensor | None]) -> Tensor:
        return torch.stack([value if plain else value[i] for i, value in enumerate(values) if value is not None])

    return Batch(
        inputs([batch.x for batch in each]),
        stacked([batch.y for batch in each]),
        views=tuple(inputs(views) for views in zip(*(batch.views for batch in each), strict=True)),
        index=stacked([batch.index for batch in each]),
        partner=None if each[0].partner is None else inputs([batch.partner for batch in each]),
        task=each[0].task,
        smoothing=each[0].smoothing,
    )


def _inputs(streams: Streams, members: Sequence[Member], where: Where) -> list[Inputs]:
    """Of every member, what it learns from."""
    x, _, _ = streams.draw(where)
    shared = shared_inputs(x, members)
    if not any(member.own_views for member in members):
        return shared
    values = [
        PerPeer(_own_views(streams, member, where)) if member.own_views else handle.value
        for member, handle in zip(members, shared, strict=True)
    ]
    every = x[on_device(tuple(slot.row for member in members for slot in member.slots), x.device)]
    for member, value in zip(members, values, strict=True):
        if member.own_views:  # the whole is what every peer sees, so its own view is there too
            every[member.peers.start : member.peers.stop] = value.inputs
    whole = Inputs(PerPeer(every), owners=_owners(members))
    return [Inputs(value, whole) for value in values]


def _own_views(streams: Streams, member: Member, where: Where) -> Tensor:
    """Of each peer, the view of its number."""
    views = torch.stack([streams.draw(where, view)[0] for view in range(member.run.peers)])
    numbers, rows = zip(*((slot.number, slot.row) for slot in member.slots), strict=True)
    return views[on_device(tuple(numbers), views.device), on_device(tuple(rows), views.device)]


def _views(streams: Streams, members: Sequence[Member], where: Where) -> list[list[Inputs]]:
    """Of every member, the further views that it asks for."""
    views: list[list[Inputs]] = [[] for _ in members]
    for view in range(1, max(member.further_views.stop for member in members)):
        asking = [number for number, member in enumerate(members) if view in member.further_views]
        if not asking:
            continue
        x, _, _ = streams.draw(where, view)
        for number, handle in zip(asking, shared_inputs(x, [members[number] for number in asking]), strict=True):
            views[number].append(handle)
    return views


def _partners(streams: Streams, members: Sequence[Member], where: Where) -> dict[int, Inputs]:
    """By member, other samples of the same classes, for those who ask for them."""
    asking = [number for number, member in enumerate(members) if member.partners]
    if not asking:
        return {}
    handles = shared_inputs(streams.partners(where), [members[number] for number in asking])
    return dict(zip(asking, handles, strict=True))


def shared_inputs(x: Tensor, members: Sequence[Member]) -> list[Inputs]:
    """Inputs ``[rows, B, ...]`` as those of some members' peers, one forward pass of all of which is shared."""
    if len(x) == 1:
        whole = Inputs(x[0], owners=_owners(members))
        return [Inputs(x[0], whole) for _ in members]
    rows = tuple(slot.row for member in members for slot in member.slots)
    whole = Inputs(PerPeer(x[on_device(rows, x.device)]), owners=_owners(members))
    return [Inputs(_value(x, member), whole) for member in members]


def _value(x: Tensor, member: Member) -> Tensor | PerPeer:
    """A member's inputs: those of its only row, or one for each block of peers that share them."""
    if (row := _row(member)) is not None:
        return x[row]
    every = 1 if member.run.shards else member.run.peers
    return PerPeer(x[on_device(tuple(slot.row for slot in member.slots[::every]), x.device)])


def _row(member: Member) -> int | None:
    """The row that all of a member's peers learn from, where it is one."""
    rows = {slot.row for slot in member.slots}
    return rows.pop() if len(rows) == 1 else None


def _rows(values: Tensor, member: Member) -> Tensor:
    """Labels or numbers ``[rows, B, ...]`` as a member's: without a peer dim where its peers share a row."""
    row = _row(member)
    return values[row] if row is not None else values[on_device(tuple(s.row for s in member.slots), values.device)]


def _owners(members: Sequence[Member]) -> tuple[int, ...]:
    return tuple(peer for member in members for peer in member.peers)


__all__ = ["draw", "merged", "shared_inputs"]
