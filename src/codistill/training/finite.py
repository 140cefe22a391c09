"""Whether what a training computes is still a number: looked at in every step, and waited for in none.

Each step leaves one flag on its device. On a GPU it is copied while the device goes on, and read some steps later; what
is read tells the step, and its terms are still there.
"""

import math
from collections import deque
from collections.abc import Container, Iterator, Sequence

import torch
from torch import Tensor, nn

from codistill.methods import Terms
from codistill.methods.parts.terms import loss_name
from codistill.run import Run
from codistill.training.fleet import Fleet, Member
from codistill.training.records import Diverged

SHOWN = 10  # numbers of samples in a message


class Watch:
    """The flags of the steps that have not been looked at yet."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Sequence[Terms], Tensor, torch.cuda.Event | None]] = deque()

    def add(self, step: int, terms: Sequence[Terms]) -> None:
        """The terms of a step; nothing is waited for."""
        sums = [term.sum(dtype=torch.float32) for member in terms for term in member.values()]
        if not sums:
            return
        flag, ready = torch.isfinite(torch.stack(sums).sum()), None
        if flag.is_cuda:
            flag = torch.empty((), dtype=torch.bool, pin_memory=True).copy_(flag, non_blocking=True)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        self.waiting.append((step, terms, flag, ready))

    def found(self, *, wait: bool = False) -> tuple[int, Sequence[Terms]] | None:
        """The first step whose terms are no numbers, and these, among the steps that are known; ``wait``: among all."""
        while self.waiting:
            step, terms, flag, ready = self.waiting[0]
            if ready is not None and not ready.query():  # type: ignore[no-untyped-call]
                if not wait:
                    return None
                ready.synchronize()
            self.waiting.popleft()
            if not flag:
                return step, terms
        return None


def lost_terms(
    fleet: Fleet, terms: Sequence[Terms], step: int, known: Container[Run] = ()
) -> Iterator[tuple[Run, str]]:
    """Each term that is no number in a step: whose it is (but for runs that are known), and what a message says."""
    for member, values in zip(fleet.members, terms, strict=True):
        for name, term in values.items():
            for number, value in enumerate(term.reshape(-1).tolist()):
                run, peer = _whose(member, number, term.numel())
                if not math.isfinite(value) and run not in known:
                    who = "" if peer is None else f" of peer {peer}"
                    where = (
                        f"step {step + 1} (epoch {step // fleet.steps + 1}), samples {_samples(fleet, run, peer, step)}"
                    )
                    yield run, f"the {loss_name(name)}{who} is {value} in {where}"


def lost_weights(fleet: Fleet, known: Container[Run] = ()) -> Iterator[tuple[Run, str]]:
    """Each peer that has a weight that is no number, but for those of runs that are known."""
    flags = [torch.zeros((), dtype=torch.bool)] * len(fleet.slots)
    for leaf in fleet.cohort.leaves():
        if isinstance(leaf.tensor, nn.Parameter):
            finite = torch.isfinite(leaf.tensor.detach())
            for row, peer in enumerate(leaf.peers):
                flags[peer] = flags[peer].to(finite.device) | ~(finite[row] if leaf.stacked else finite).all()
    everywhere = fleet.mesh.every(torch.stack(flags).tolist())  # each process knows of its own peers
    for slot, *lost in zip(fleet.slots, *everywhere, strict=True):
        if any(lost) and slot.run not in known:
            yield slot.run, f"a weight of peer {slot.number} is nan or infinite"


def diverged(run: Run, what: str, step: int | None = None) -> Diverged:
    """The error of a run, with what may help; ``step``: which one, where that is known."""
    fix = f"lower learning_rate={run.learning_rate:g}, or set clip (now {run.clip}) or warmup (now {run.warmup:g})"
    return Diverged(f"{run.name}: {what}: {fix}", step)


def _whose(member: Member, number: int, count: int) -> tuple[Run, int | None]:
    """The run and the peer of a term's element."""
    if count == len(member.peers):
        slot = member.slots[number]
        return slot.run, slot.number
    return (member.runs[number] if count == len(member.runs) else member.run), None


def _samples(fleet: Fleet, run: Run, peer: int | None, step: int) -> str:
    """The numbers of the samples of a step, in the training part, as a message lists them."""
    slot = next(slot for slot in fleet.slots if slot.run == run and slot.number == (peer or 0))
    turn = slot.turn if run.update == "fresh_batch" else 0
    numbers = fleet.streams.draw((*divmod(step, fleet.steps), turn))[2][slot.row].tolist()
    return " ".join(map(str, numbers[:SHOWN])) + (f" ... ({len(numbers)})" if len(numbers) > SHOWN else "")


__all__ = ["Watch", "diverged", "lost_terms", "lost_weights"]
