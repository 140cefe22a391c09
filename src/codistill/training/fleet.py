"""A fleet: runs that are trained as one cohort, each method on its own view.

Runs that differ in their method, their peers, their seed, their learning rate and their weight decay share every step,
and where their networks are alike one stacked computation. A single run is a fleet of one. `build_fleet` makes one;
nothing of it changes then but tensors.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from codistill import optim
from codistill.cohort import Cohort, Group, View
from codistill.cohort.groups import Leaf, on_device
from codistill.cohort.told import Told
from codistill.data.examples import DataSet
from codistill.exchange import Largest, Mesh
from codistill.exchange.rounds import Silo
from codistill.exchange.shared_folder import SharedFolder
from codistill.methods import Method
from codistill.run import Run, told_apart
from codistill.training.best import Best
from codistill.training.streams import Streams

ONE_OF = ("classes", "tokens")  # tasks whose classes exclude each other


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


@dataclass(frozen=True, eq=False)
class Member:
    """One method over the peers of a run, or of runs that differ in seed, rate and decay alone, side by side.

    Attributes:
        runs: in the order of their peers.
        peers: their numbers in the cohort.
        slots: those of these peers.
        method: what they minimise.
        view: of these peers.
    """

    runs: tuple[Run, ...]
    peers: range
    slots: tuple[PeerSlot, ...]
    method: Method
    view: View

    @property
    def run(self) -> Run:
        """The first run: they share all settings but seed, rate and decay."""
        return self.runs[0]

    @property
    def own_views(self) -> bool:
        """Whether each peer has a view of its own."""
        return self.method.needs.own_views or self.run.own_views

    @property
    def further_views(self) -> range:
        """The views besides those that are x."""
        first = self.run.peers if self.own_views else 1
        return range(first, first + self.method.needs.views - 1)

    def block(self, number: int) -> range:
        """The peers of one of the runs, within the member."""
        return range(number * self.run.peers, (number + 1) * self.run.peers)

    def in_turn(self, turn: int) -> Tensor:
        """Which of its peers are updated in a turn, by their number in the member."""
        return on_device(tuple(i for i, slot in enumerate(self.slots) if slot.turn == turn), self.view.device)


@dataclass(frozen=True, eq=False)
class Turn:
    """Peers that are updated together.

    Attributes:
        number: the first turn of a step is 0.
        groups: that execute these peers.
        leaves: their parameters, as the optimizer has them.
        optimizer: of these and, where all peers are updated together, of the methods' own parameters.
        clip: the largest norm of a peer's gradient.
        peers: the number of all peers of the cohort.
        mesh: of the processes that train them.
        shared: the methods' own parameters, which every process has.
        divided: the stacked parameters whose peers learn at several rates; ``leaves`` has pieces of them.
    """

    number: int
    groups: tuple[Group, ...]
    leaves: tuple[Leaf, ...]
    optimizer: torch.optim.Optimizer
    clip: float | None
    peers: int
    mesh: Mesh
    shared: tuple[Tensor, ...] = ()
    divided: tuple[optim.Divided, ...] = ()

    def set_rates(self, factor: float) -> None:
        """Set every learning rate to so many times its peak."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def update(self, loss: Tensor) -> None:
        """One optimizer step; none where another process has all peers of this turn."""
        if not self.leaves:
            return
        for rated in self.optimizer.param_groups:
            for parameter in rated["params"]:
                parameter.grad = None
        for divided in self.divided:
            divided.whole.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        for divided in self.divided:
            divided.hand_out()
        for group in self.groups:
            group.hand_out()
        sharded = self.mesh.sharded
        if self.mesh.size > 1 and not sharded:
            self.mesh.add([grad for leaf in self.leaves if (grad := leaf.tensor.grad) is not None])
        self.mesh.unify([grad for p in self.shared if (grad := p.grad) is not None])
        if self.clip is not None:
            optim.clip(self.leaves, self.peers, self.clip, self.mesh.add if sharded else None)
        self.optimizer.step()


@dataclass(frozen=True)
class Execution:
    """How a fleet is computed, and why.

    Attributes:
        execute: how peers run, ``stack``, ``loop`` or ``channels_last``.
        timing: the seconds of each executor, where they were timed.
        threads: of torch's operations on a CPU.
        thread_timing: the seconds with so many, where they were timed.
    """

    execute: str
    timing: dict[str, float]
    threads: int
    thread_timing: dict[str, float]


@dataclass(frozen=True, eq=False)
class Fleet:
    """Everything that a step needs.

    Attributes:
        slots: of every peer, in order.
        dataset: what is learned.
        device: where.
        streams: the samples of every step.
        cohort: all peers.
        members: every method with its peers.
        turns: who is updated when, within a step.
        average: the exponential moving averages (EMA) of the weights, where the run asks for them.
        best: the best weights so far, where the run asks for them.
        schedule: the factor of the learning rate at a part of the training.
        execution: how all this is computed.
        names: of every peer's network: its spec, or the class of one that was given.
        shared: where other processes leave the peers that they train, and this one its own; or this silo's part in
            rounds.
        normalised: the peers whose outputs sum to 1 before anything is trained, so that they seem to be no logits.
    """

    slots: tuple[PeerSlot, ...]
    dataset: DataSet
    device: torch.device
    streams: Streams
    cohort: Cohort
    members: tuple[Member, ...]
    turns: tuple[Turn, ...]
    average: Cohort | None
    best: Best | None
    schedule: Callable[[float], float]
    execution: Execution
    names: tuple[str, ...]
    shared: SharedFolder | Silo | None
    normalised: tuple[int, ...] = ()

    @property
    def mesh(self) -> Mesh:
        """Of the processes that train it."""
        return self.cohort.mesh

    @cached_property
    def told(self) -> Largest | None:
        """How much of a step's logits crosses between processes; None: all.

        Along ``peer`` alone: where a sample's shard is elsewhere, a peer's own term needs its whole logits.
        """
        exchange = self.members[0].method.tells
        if len(self.members) > 1 or exchange is None or exchange.largest is None or self.dataset.task not in ONE_OF:
            return None
        saves = exchange.what == "posteriors" and 2 * exchange.largest + 1 < self.dataset.classes
        if not saves or self.mesh.peer == 1 or self.mesh.data > 1:
            return None
        return Largest(exchange.largest, self.dataset.classes, exchange.temperature)

    @cached_property
    def peers_by_run(self) -> dict[Run, range]:
        """Which of the cohort's peers are whose, in their order."""
        return peers_by_run(dict.fromkeys(slot.run for slot in self.slots))

    @property
    def runs(self) -> list[Run]:
        """In the order of their peers."""
        return list(self.peers_by_run)

    @cached_property
    def run_names(self) -> dict[Run, str]:
        """What each run is called in the log."""
        return told_apart(self.runs)

    def here(self, run: Run) -> tuple[int, ...]:
        """The peers of a run, by their numbers in it, whose predictions are not told by other silos: that is all,
        unless this is a silo."""
        located = self.cohort.located
        return tuple(i for i, peer in enumerate(self.peers_by_run[run]) if not isinstance(located[peer][0], Told))

    def names_of(self, run: Run) -> tuple[str, ...]:
        """What the networks of a run are."""
        peers = self.peers_by_run[run]
        return self.names[peers.start : peers.stop]

    @property
    def run(self) -> Run:
        """The first run: they share all settings but method, peers, models, seed, rate and decay."""
        return self.slots[0].run

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.streams.steps

    @property
    def total(self) -> int:
        """Steps of the whole training."""
        return self.streams.total

    @property
    def epochs(self) -> int:
        """Of the whole training; the last may be shorter where the run says how many steps there are."""
        return self.epochs_after(self.total)

    def epochs_after(self, step: int) -> int:
        """How many epochs have begun before a step, counted over all epochs."""
        return -(-step // self.steps)

    @property
    def current(self) -> Cohort:
        """The networks of this step: the averages of the weights, where the run asks for them."""
        return self.average or self.cohort

    @property
    def delivered(self) -> Cohort:
        """The networks that are evaluated in the end: the best ones, where the run asks for them."""
        return self.current if self.best is None else self.best.networks

    def rate_factor(self, step: int) -> float:
        """What the peak learning rate of each run is multiplied by in a step, counted over all epochs."""
        return self.schedule(step / self.total)

    def method_cohorts(self) -> list[Cohort]:
        """The cohorts inside methods: teachers, copies."""
        return [module for member in self.members for module in member.method.modules() if isinstance(module, Cohort)]


def slots(runs: Iterable[Run], silo: int | None = None) -> tuple[PeerSlot, ...]:
    """The peers of some runs: those of one run after the other; runs that differ only in their seed together, and so
    those of one kind.

    ``silo``: the peer whose shard is the only one here.
    """
    runs = list(runs)
    seeds, kinds, forms = seeds_of(runs), [kind_of(run) for run in runs], [run.replace(seed=0) for run in runs]
    order = sorted(range(len(runs)), key=lambda i: (kinds.index(kinds[i]), forms.index(forms[i])))
    table = []
    for trunk, run in enumerate(runs[i] for i in order):
        shards = shards_of(run) if silo is None else 1
        for number in range(run.peers):
            row = seeds.index(run.seed) * shards + number % shards
            table.append(PeerSlot(run, number, row, number if run.update != "together" else 0, trunk))
    return tuple(table)


def kind_of(run: Run) -> Run:
    """What all runs have in common that one method may serve: everything but seed, rate and decay."""
    return run.replace(seed=0, learning_rate=1.0, weight_decay=0.0)


def peers_by_run(runs: Iterable[Run]) -> dict[Run, range]:
    """Which of a cohort's peers are whose, in their order."""
    first = {slot.run: peer for peer, slot in enumerate(slots(runs)) if slot.number == 0}
    return {run: range(peer, peer + run.peers) for run, peer in first.items()}


def seeds_of(runs: Iterable[Run]) -> list[int]:
    """The seeds of which there are batches, in their order."""
    return sorted({run.seed for run in runs})


def shards_of(run: Run) -> int:
    """Into how many shards a seed's examples are dealt out; each seed and shard has batches, a *row*, of its own."""
    return run.peers if run.private else 1
