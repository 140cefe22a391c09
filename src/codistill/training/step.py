"""One optimizer step of a fleet, in each of the ways in which peers can take turns.

together     all forwards, all targets from the same weights, one backward, everybody steps
in_turn      Algorithm 1: the same batch for all, peer after peer; later peers see the refreshed posteriors of the
             earlier ones; at most 2P - 1 forwards
fresh_batch  the authors' released code: a new batch for every peer, on which all predict and one learns
"""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.exchange import of_owners
from codistill.methods import Method, Terms
from codistill.training.batches import draw, merged
from codistill.training.edges import Edges, measure_edges
from codistill.training.fleet import Fleet, Member, Turn


def take(fleet: Fleet, epoch: int, step: int, edges: list[Edges] | None = None) -> list[Terms]:
    """Do step ``step`` of an epoch: the terms of every member, detached, each peer's as of its own update.

    A list ``edges`` is filled with how far each member's peers are from each other, before they move.
    """
    number = epoch * fleet.steps + step
    for turn in fleet.turns:
        turn.set_rates(fleet.rate_factor(number))
    progress = number / fleet.total
    terms: list[Terms] = [{} for _ in fleet.members]
    told = fleet.told if edges is None else None  # which are measured between whole posteriors
    fleet.cohort.made.clear()
    fresh = fleet.run.update == "fresh_batch"
    rounds = [(turn,) for turn in fleet.turns] if fresh else [fleet.turns]  # the turns of one batch
    drawn = [draw(fleet.streams, fleet.members, (epoch, step, turns[0].number)) for turns in rounds]
    for turns, batches in zip(rounds, drawn, strict=True):
        with ExitStack() as caches:  # of what the methods' own cohorts make of the batch, and the cohort
            for cohort in fleet.method_cohorts():
                caches.enter_context(cohort.remember())
            active = frozenset(turns[0].groups) if fresh else None
            cache = caches.enter_context(fleet.cohort.remember(batches[0].x.whole, active=active))
            cache.told = told
            for turn in turns:
                cache.learning = frozenset(turn.groups) if len(turns) > 1 else None
                _learn(fleet, turn, batches, progress, terms)
                if edges is not None and not turn.number:
                    edges += measure_edges(fleet, cache, batches)
                if turn is not turns[-1]:
                    cache.refresh(turn.groups)
    if told is not None:  # of others' peers not enough is known for their own terms
        (own,) = terms
        terms = [dict(zip(own, of_owners(fleet.mesh, torch.stack(list(own.values()))), strict=True))]
    _after(fleet, drawn, progress)
    return terms


def _learn(fleet: Fleet, turn: Turn, batches: Sequence[Batch], progress: float, terms: list[Terms]) -> None:
    """The update of the peers whose turn it is; their terms are put into ``terms``."""
    loss: Tensor | float = 0.0
    for member, batch, values in zip(fleet.members, batches, terms, strict=True):
        chosen = member.in_turn(turn.number) if len(fleet.turns) > 1 else None
        if chosen is not None and not len(chosen):
            continue
        for name, term in member.method(member.view, batch, progress).items():
            if chosen is None:
                loss = loss + term.sum()
                values[name] = term.detach()
                continue
            _check_per_peer(member, name, term)
            loss = loss + term[chosen].sum()
            values.setdefault(name, torch.zeros_like(term.detach()))[chosen] = term.detach()[chosen]
    assert isinstance(loss, Tensor)
    turn.update(loss)


def _check_per_peer(member: Member, name: str, term: Tensor) -> None:
    if term.dim() == 0 or len(term) != len(member.peers):
        raise ValueError(
            f"update={member.run.update!r}: term {name!r} of '{member.run.method}' belongs to no peer, so "
            "peers cannot take turns on it; use update='together'"
        )


def _after(fleet: Fleet, drawn: Sequence[Sequence[Batch]], progress: float) -> None:
    """The methods' hooks, each with the batch that every peer learned from; passes in them leave buffers alone."""
    with fleet.cohort.remember(active=frozenset()):
        for member, batches in zip(fleet.members, zip(*drawn, strict=True), strict=True):
            if type(member.method).after_step is not Method.after_step:  # else its batch need not be merged
                member.method.after_step(member.view, merged(member, batches), progress)
