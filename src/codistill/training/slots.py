"""Every peer of a fleet: this table alone decides their order, in a cohort and in a checkpoint."""

from collections.abc import Iterable
from dataclasses import dataclass

from codistill.randomness import derive
from codistill.run import Run


@dataclass(frozen=True)
class PeerSlot:
    """One peer; its number in the cohort is its index in the table.

    Attributes:
        run: whose peer it is.
        number: its number in its run.
        row: which of the fleet's batches it learns from; see `rows`.
        turn: when it is updated within a step.
        trunk: whose trunk it is a branch of, where networks have branches.
    """

    run: Run
    number: int
    row: int
    turn: int
    trunk: int


def slots(runs: Iterable[Run]) -> tuple[PeerSlot, ...]:
    """The peers of some runs: those of one run after the other, runs that differ only in their seed together."""
    runs = list(runs)
    kinds = list(dict.fromkeys(run.replace(seed=0) for run in runs))
    seeds = seeds_of(runs)
    table = []
    for trunk, run in enumerate(sorted(runs, key=lambda run: kinds.index(run.replace(seed=0)))):
        shards = shards_of(run)
        for number in range(run.peers):
            row = seeds.index(run.seed) * shards + number % shards
            table.append(PeerSlot(run, number, row, number if run.update != "together" else 0, trunk))
    return tuple(table)


def peers_by_run(runs: Iterable[Run]) -> dict[Run, range]:
    """Which of a cohort's peers are whose, in their order."""
    first = {slot.run: peer for peer, slot in enumerate(slots(runs)) if slot.number == 0}
    return {run: range(peer, peer + run.peers) for run, peer in first.items()}


def seeds_of(runs: Iterable[Run]) -> list[int]:
    """The seeds of which there are batches, in their order."""
    return sorted({run.seed for run in runs})


def training_seed(run: Run) -> int:
    """The seed of whatever a run draws but its split: initial weights, order, augmentation, dropout."""
    return derive(run.seed, "retraining", run.retraining) if run.retraining else run.seed


def shards_of(run: Run) -> int:
    """Into how many shards a seed's examples are dealt out; each seed and shard has batches, a *row*, of its own."""
    return run.peers if run.shards else 1
