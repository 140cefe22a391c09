"""One optimizer step of a fleet, in each of the ways in which peers can take turns.

together     all forwards, all targets from the same weights, one backward, everybody steps
in_turn      Algorithm 1: the same batch for all, peer after peer; later peers see the refreshed posteriors of the
             earlier ones; at most 2P - 1 forwards
fresh_batch  the authors' released code: a new batch for every peer, on which all predict and one learns
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor

from codistill import optim
from codistill.batch import Batch
from codistill.cohort import Cohort, Group
from codistill.cohort.groups import on_device
from codistill.cohort.memory import Memory
from codistill.methods import Terms
from codistill.training.edges import Watched, look
from codistill.training.fleet import Fleet, Member


def take(fleet: Fleet, epoch: int, step: int, watched: list[Watched] | None = None) -> list[Terms]:
    """Do step ``step`` of an epoch: the terms of every member, detached, each peer's as of its own update.

    Where there is a list ``watched``, it is filled with what there is to see between the peers, before they move.
    """
    progress = (epoch * fleet.steps + step) / fleet.total
    for optimizer in fleet.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = fleet.run.learning_rate * fleet.schedule(progress)
    turns = range(len(fleet.optimizers))
    seen: list[Terms] = [{} for _ in fleet.members]
    if fleet.run.update == "fresh_batch":
        for turn in turns:
            whole, batches = fleet.draw(epoch, step, stream=turn)
            with _memory(fleet, whole, batches, frozenset(_groups(fleet, turn))) as memory:
                _turn(fleet, batches, progress, turn, seen)
                if watched is not None and turn == 0:
                    watched += look(fleet, memory, whole, batches)
    else:
        whole, batches = fleet.draw(epoch, step)
        with _memory(fleet, whole, batches) as memory:
            for turn in turns:
                memory.learning = frozenset(_groups(fleet, turn)) if len(turns) > 1 else None
                _turn(fleet, batches, progress, turn, seen)
                if watched is not None and turn == 0:
                    watched += look(fleet, memory, whole, batches)
                if turn + 1 < len(turns):
                    memory.refresh(_groups(fleet, turn))
    for member, batch in zip(fleet.members, batches, strict=True):
        member.method.after_step(member.view, batch, progress)
    return seen


def _groups(fleet: Fleet, turn: int) -> list[Group]:
    return [group for group in fleet.cohort.parts() if group.turn == turn]


@contextmanager
def _memory(
    fleet: Fleet, whole: object, batches: list[Batch], active: frozenset[Group] | None = None
) -> Iterator[Memory]:
    """The step's memory: of the cohort, of which the members' batches are parts, and of the methods' own cohorts."""
    with ExitStack() as stack:
        memory = stack.enter_context(fleet.cohort.remember(active))
        for member, batch in zip(fleet.members, batches, strict=True):
            memory.know(batch.x, whole, fleet.cohort.peers)
            for module in member.method.modules():
                if isinstance(module, Cohort):
                    stack.enter_context(module.remember())
        yield memory


def _turn(fleet: Fleet, batches: list[Batch], progress: float, turn: int, seen: list[Terms]) -> None:
    """The update of the peers whose turn it is; their terms are put into ``seen``."""
    alone = len(fleet.optimizers) == 1
    loss: Tensor | float = 0.0
    for member, batch, kept in zip(fleet.members, batches, seen, strict=True):
        mine = None if alone else _mine(fleet, member, turn)
        if mine is not None and not len(mine):
            continue
        for name, term in member.method(member.view, batch, progress).items():
            if mine is None:
                loss = loss + term.sum()
                kept[name] = term.detach()
                continue
            if term.dim() == 0 or len(term) != len(member.peers):
                raise ValueError(
                    f"update={fleet.run.update!r}: term {name!r} of '{member.runs[0].method}' belongs to no peer, so "
                    "peers cannot take turns on it; use update='together'"
                )
            loss = loss + term[mine].sum()
            kept.setdefault(name, torch.zeros_like(term.detach()))[mine] = term.detach()[mine]
    optimizer = fleet.optimizers[turn]
    optimizer.zero_grad(set_to_none=True)
    assert isinstance(loss, Tensor)
    loss.backward()  # type: ignore[no-untyped-call]
    if fleet.run.clip is not None:
        optim.clip(fleet.turn_leaves(turn), len(fleet.cohort), fleet.run.clip)
    optimizer.step()


def _mine(fleet: Fleet, member: Member, turn: int) -> Tensor:
    """Which of a member's peers have this turn, by their number in the member."""
    return on_device(tuple(i for i, peer in enumerate(member.peers) if fleet.turns[peer] == turn), fleet.device)
