"""The batches that a fleet's methods learn from: inputs that all share are one handle, whose forward pass is one."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from codistill.batch import Batch, Inputs, PerPeer, of_peer
from codistill.cohort.groups import on_device
from codistill.training.fleet import Member, PeerSlot
from codistill.training.streams import Streams, Where


def draw(streams: Streams, members: Sequence[Member], where: Where) -> list[Batch]:
    """Every member's batch; `Inputs.whole` of its x is what all of the cohort's peers see."""
    _, y, index = streams.draw(where)
    counted = streams.counted(index)
    paired = [member for member in members if member.method.needs.partners]
    partners = _shared_inputs(streams.partners(where), paired) if paired else {}
    views: dict[Member, tuple[Inputs, ...]] = dict.fromkeys(members, ())
    for number in sorted({number for member in members for number in member.further_views}):
        x, _, _ = streams.draw(where, number)
        for member, view in _shared_inputs(x, [m for m in members if number in m.further_views]).items():
            views[member] += (view,)
    return [
        Batch(
            x,
            _rows(y, member),
            views=views[member],
            index=_rows(index, member),
            partner=partners.get(member),
            mask=None if counted is None else _rows(counted, member),
            task=streams.task,
            smoothing=member.run.smoothing,
            private=member.run.private,
        )
        for member, x in _inputs(streams, members, where).items()
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

    return replace(
        each[0],
        x=inputs([batch.x for batch in each]),
        y=stacked([batch.y for batch in each]),
        views=tuple(inputs(views) for views in zip(*(batch.views for batch in each), strict=True)),
        index=stacked([batch.index for batch in each]),
        partner=None if each[0].partner is None else inputs([batch.partner for batch in each]),
    )


def inputs_of(x: Tensor, slots: Iterable[PeerSlot]) -> Tensor | PerPeer:
    """Inputs ``[rows, B, ...]`` as those of some peers."""
    return x[0] if len(x) == 1 else PerPeer(x[on_device(tuple(slot.row for slot in slots), x.device)])


def _inputs(streams: Streams, members: Sequence[Member], where: Where) -> dict[Member, Inputs]:
    """Of every member, what it learns from."""
    x, _, _ = streams.draw(where)
    shared = _shared_inputs(x, members)
    own = {member: _own_views(streams, member, where) for member in members if member.own_views}
    if not own:
        return shared
    every = x[on_device(tuple(slot.row for slot in _slots(members)), x.device)]
    for member, value in own.items():  # the whole is what every peer sees, so its own view is there too
        every[member.peers.start : member.peers.stop] = value
    whole = Inputs(PerPeer(every), owners=_owners(members))
    return {m: Inputs(PerPeer(own[m]) if m in own else shared[m].value, whole) for m in members}


def _own_views(streams: Streams, member: Member, where: Where) -> Tensor:
    """Of each peer, the view of its number."""
    views = torch.stack([streams.draw(where, view)[0] for view in range(member.run.peers)])
    numbers, rows = zip(*((slot.number, slot.row) for slot in member.slots), strict=True)
    return views[on_device(tuple(numbers), views.device), on_device(tuple(rows), views.device)]


def _shared_inputs(x: Tensor, members: Sequence[Member]) -> dict[Member, Inputs]:
    """Inputs ``[rows, B, ...]`` as those of some members' peers, one forward pass of all of which is shared."""
    whole = Inputs(inputs_of(x, _slots(members)), owners=_owners(members))
    return {member: Inputs(_value(x, member), whole) for member in members}


def _value(x: Tensor, member: Member) -> Tensor | PerPeer:
    """A member's inputs: those of its only row, or one for each block of peers that share them."""
    if (row := _row(member)) is not None:
        return x[row]
    return inputs_of(x, member.slots[:: 1 if member.run.private else member.run.peers])


def _slots(members: Sequence[Member]) -> list[PeerSlot]:
    return [slot for member in members for slot in member.slots]


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
