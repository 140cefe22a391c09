"""The processes of one job as a mesh of two axes: which peers a process trains, and on which samples."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, distributed as dist

from codistill.libraries import said_by

Value = TypeVar("Value")
HEADER = 8  # bytes before what a process sends: the first says whether it was asked to stop


class Lost(ConnectionError):
    """Another process of a job ended, or did not answer in time."""


@dataclass(eq=False)
class Mesh:
    """Where this process stands among those of a job; without any argument, it is the only one.

    Process ``rank`` is at ``(rank // data, rank % data)``: it trains the peers of its place along the axis ``peer`` on
    its shard, along the axis ``data``, of every batch.

    Attributes:
        peer: the size of the axis along which the peers are dealt out.
        data: the size of the axis along which the samples of a batch are.
        rank: the number of this process.
        shards: the processes with the same peers, which add up their gradients; None where nothing is added up.
        sharded: of a peer's weights, each of the processes that have it holds a part.
        staged: tensors go through the CPU, since the processes' backend takes no others.
        gathered: bytes that this process has received of others' outputs.
        added: bytes of the sums that it has taken part in, of gradients and batch statistics.
    """

    peer: int = 1
    data: int = 1
    rank: int = 0
    shards: dist.ProcessGroup | None = None
    sharded: bool = False
    staged: bool = False
    gathered: int = field(default=0, init=False)
    added: int = field(default=0, init=False)
    _asked: bool = field(default=False, init=False)
    _flags: list[Tensor] = field(default_factory=list, init=False)  # headers of the newest exchange

    @property
    def size(self) -> int:
        """The number of processes."""
        return self.peer * self.data

    @property
    def place(self) -> int:
        """Along the axis ``peer``."""
        return self.rank // self.data

    @property
    def shard(self) -> int:
        """Along the axis ``data``."""
        return self.rank % self.data

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def flat(self) -> "Mesh":
        """Every process holds all peers: for networks that nobody trains, whose samples all processes share."""
        return replace(self, peer=1, data=self.size, shards=None, sharded=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    # Which peers, which samples --------------------------------------------------------------------------------------

    def peers_at(self, place: int, peers: int) -> range:
        """Which of so many peers a place has: neighbours, as evenly as they can be dealt out."""
        return range(place * peers // self.peer, (place + 1) * peers // self.peer)

    def samples_at(self, shard: int, samples: int) -> slice:
        """Which of so many samples a shard has; all, where there are fewer samples than shards."""
        if samples < self.data:
            return slice(0, samples)
        return slice(shard * samples // self.data, (shard + 1) * samples // self.data)

    # What crosses ----------------------------------------------------------------------------------------------------

    def gather(self, sent: Tensor) -> Tensor:
        """The bytes of all processes, ``[size, n]``; ``sent`` is this one's, uint8 ``[n]``, and n the same in all.

        The first byte is overwritten: it carries whether this process was asked to stop.
        """
        sent[0] = self._asked
        wire = sent.cpu() if self.staged else sent
        rows = wire.new_empty(self.size, len(wire))
        with _lost():
            dist.all_gather(list(rows), wire)
        self.gathered += (self.size - 1) * len(wire)
        self._flags = [*self._flags[-1:], rows[:, 0]]
        return rows.to(sent.device)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """The sum over the processes with the same peers, in place: of gradients."""
        if self.shards is not None and tensors:
            self._reduce(tensors, self.shards)

    def unify(self, tensors: Sequence[Tensor]) -> None:
        """The mean over all processes, in place: of what each has computed alike, so that rounding cannot add up."""
        if self.size > 1 and tensors:
            self._reduce(tensors, None)
            for tensor in tensors:
                tensor.div_(self.size)

    @torch.no_grad()
    def _reduce(self, tensors: Sequence[Tensor], group: dist.ProcessGroup | None) -> None:
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            chosen = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in chosen])
            wire = flat.cpu() if self.staged else flat
            with _lost():
                dist.all_reduce(wire, group=group)
            self.added += wire.nbytes
            for tensor, total in zip(
                chosen, wire.to(flat.device).split_with_sizes([t.numel() for t in chosen]), strict=True
            ):
                tensor.copy_(total.view_as(tensor))

    def every(self, value: Any) -> list[Any]:
        """A small object of each process, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _lost():
            dist.all_gather_object(values, value)
        return values

    def collected(self, value: Any) -> list[Any]:
        """An object of each process, by rank, in the first one; in the others, nothing."""
        if self.size == 1:
            return [value]
        values: list[Any] | None = [None] * self.size if self.is_first else None
        with _lost():
            dist.gather_object(value, values)
        return values or []

    def agreed(self, value: Value) -> Value:
        """The first process's object, for all of them."""
        if self.size == 1:
            return value
        values = [value]
        with _lost():
            dist.broadcast_object_list(values)
        return values[0]

    # Stopping --------------------------------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Let all processes stop after the same step, soon: safe in a signal's handler."""
        self._asked = True

    def stops(self) -> bool:
        """Whether a process was asked to stop, as all of them know it; to be called after every step.

        It is read of the exchange before the newest, so that a GPU is not waited for.
        """
        if self.size == 1:
            return self._asked
        return len(self._flags) > 1 and bool(self._flags[0].any())


@contextmanager
def _lost() -> Iterator[None]:
    """A failed exchange in the words of who started the job."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        said = re.sub(r"\[\S+\.cc:\d+\] ", "", said_by(error)).partition(". ")[0]
        raise Lost(
            f"another process of this job ended, or did not answer in time ({said}); once it is clear "
            "why, codistill resume goes on from the newest checkpoint, and timeout= of mesh sets how long one waits"
        ) from error
