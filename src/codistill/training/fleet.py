"""A fleet: runs that are trained as one cohort, each method on its own view.

Runs that differ in their method, their number of peers and their seed share every step, and where their networks are
alike one stacked computation. A single run is a fleet of one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from codistill import checkpoint, data, methods, optim
from codistill.batch import Batch, PerPeer
from codistill.cohort import PRECISIONS, Cohort, View
from codistill.cohort.embedding import embed
from codistill.cohort.groups import Leaf, on_device
from codistill.cohort.timing import fastest
from codistill.data.examples import DataSet
from codistill.data.split import limited
from codistill.graph import Graph
from codistill.methods import Method
from codistill.models.trial import try_out
from codistill.randomness import derive, seeded
from codistill.run import Run
from codistill.spec import Spec, WrongKind
from codistill.training import initial_weights
from codistill.training.batches import Streams, Where
from codistill.training.requirements import check_needs, check_runs
from codistill.training.teachers import networks_of, teacher_networks


def device_of(run: Run) -> torch.device:
    """Where a run is computed.

    Raises:
        ValueError: that device is not there.
    """
    name = run.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={run.device!r} is not there ({str(error).splitlines()[0]}): set device=cpu") from None
    return device


def _dataset_of(run: Run, given: DataSet | None) -> DataSet:
    """The data set that was given, or else the one that a run names."""
    if given is None:
        return data.load(run.data, Path(run.data_root) if run.data_root else None, run.download)
    if not isinstance(given, DataSet):
        raise WrongKind(
            f"dataset is a {type(given).__name__}: give a DataSet, codistill.data.from_dataset(train, test) makes one "
            "from pairs of an input and a label"
        )
    return given


@dataclass(frozen=True, eq=False)
class Member:
    """One method and its peers: those of one run, or of runs that differ in nothing but their seed, one after the
    other, where the method lets them stand side by side (see `Needs.couples`)."""

    runs: tuple[Run, ...]
    peers: range
    method: Method
    view: View
    rows: Tensor  # of each peer, its run's place among the fleet's seeds

    def block(self, number: int) -> range:
        """The peers of one of the runs, within the member."""
        count = self.runs[number].peers
        return range(number * count, (number + 1) * count)


class Fleet:
    """Everything that a step needs.

    Args:
        runs: they may differ in their method, peers, networks and seed.
        execute: how like peers run; None: as the runs say, and ``auto`` is decided by timing both.
        dataset: in place of the one that the runs name.
        networks: in place of the ones that the runs name, for all peers in order.
        teachers: folders by the names that methods give to their teacher.
        load: False where saved weights will take the place of what networks start from.

    Raises:
        ValueError: runs that cannot be one fleet, or settings that do not fit the data.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        *,
        execute: str | None = None,
        dataset: DataSet | None = None,
        networks: Sequence[nn.Module] | None = None,
        teachers: Mapping[str, Path] | None = None,
        load: bool = True,
    ) -> None:
        check_runs(runs)
        self.run = run = runs[0]
        self.places = checkpoint.places(runs)
        self.runs = list(self.places)
        self.device = device_of(run)
        self.dataset = limited(_dataset_of(run, dataset), run.limit)
        seeds = sorted({r.seed for r in runs})
        self.streams = Streams(run, seeds, self.dataset, self.device, run.peers if run.shards else 1)
        self.rows = [self.streams.row(r.seed, i) for r in self.runs for i in range(r.peers)]
        self.steps = self.streams.steps
        self.total = self.steps * run.epochs
        self.turns = [i if run.update != "together" else 0 for r in self.runs for i in range(r.peers)]
        nets = list(networks) if networks is not None else self._networks(load, teachers or {})
        if len(nets) != len(self.turns):
            raise ValueError(f"{len(nets)} networks were given for {len(self.turns)} peers")
        nets = [net.to(self.device, PRECISIONS[run.precision]) for net in nets]
        x, _, _ = self.streams.draw((0, 0, 0))
        self._try_out(nets, x, named=networks is None)
        self.trunks = [number for number, r in enumerate(self.runs) for _ in range(r.peers)]
        self.timing: dict[str, float] = {}
        execute = execute or run.execute
        if execute == "auto":
            execute, self.timing = fastest(
                nets,
                self._whole(x),
                turns=self.turns,
                trunks=self.trunks,
                seed=run.seed,
                precision=run.precision,
                branch_at=run.branch_at,
            )
        self.execute = execute
        self.cohort = Cohort(
            nets,
            execute=execute,
            turns=self.turns,
            precision=run.precision,
            branch_at=run.branch_at,
            trunks=self.trunks,
        ).to(self.device)
        self._check_outputs(x)
        self.members = self._members(teachers or {})
        for member in self.members:
            check_needs(member.method, member.runs[0])
        _, batches = self.draw(0, 0)
        for member, batch in zip(self.members, batches, strict=True):
            with seeded(self.device, member.runs[0].seed, "prepare", 0):  # whatever else is in the fleet
                member.method.to(self.device)
                member.method.samples, member.method.epochs = self.streams.samples, run.epochs
                member.method.prepare(member.view, batch)
                member.method.to(self.device)
        made = [m for member in self.members for m in member.method.modules() if isinstance(m, Cohort)]
        for cohort in (self.cohort, *made):
            cohort.passes.forward = 0
        self.leaves = [leaf for leaf in self.cohort.leaves() if isinstance(leaf.tensor, nn.Parameter)]
        self.optimizers = [self._optimizer(turn) for turn in range(max(self.turns) + 1)]
        self.schedule = optim.schedule(run.schedule, run.warmup)
        self.average = self.cohort.frozen(moving=True) if run.average else None

    @property
    def delivered(self) -> Cohort:
        """The networks that are evaluated: the averages of the weights, where the run asks for them."""
        return self.average if self.average is not None else self.cohort

    # Building -------------------------------------------------------------------------------------------------------

    def _networks(self, load: bool, teachers: Mapping[str, Path]) -> list[nn.Module]:
        """Every peer's network."""
        return [self._network(run, i, load, teachers) for run in self.runs for i, _ in enumerate(run.networks())]

    def _network(self, run: Run, peer: int, load: bool, teachers: Mapping[str, Path]) -> nn.Module:
        """A peer's network; its initial weights are a function of the seed and its number in its run."""
        spec = run.networks()[peer]
        plain = initial_weights.untrained(spec)
        if plain != spec and load:
            if plain not in teachers:
                raise ValueError(f"model {spec!r}: start=alone is for comparisons; give the folder of a finished run")
            return teacher_networks(teachers[plain], run, self.dataset, plain)[0]
        classes, shape = self.dataset.classes, tuple(self.dataset.train.x.shape[1:])
        return initial_weights.network(
            plain, classes, shape, derive(run.seed, "init", peer), self.dataset.known, load=load
        )

    def _members(self, teachers: Mapping[str, Path]) -> list[Member]:
        alike_but_for_seed: dict[Run, list[Run]] = {}
        for run in self.runs:
            alike_but_for_seed.setdefault(run.replace(seed=0), []).append(run)
        members = []
        for runs in alike_but_for_seed.values():
            side_by_side = methods.find(runs[0].method).needs.couples == "edges"
            members += [self._member(each, teachers) for each in ([runs] if side_by_side else [[run] for run in runs])]
        return members

    def _member(self, runs: Sequence[Run], teachers: Mapping[str, Path]) -> Member:
        peers = range(self.places[runs[0]].start, self.places[runs[-1]].stop)
        return Member(
            runs=tuple(runs),
            peers=peers,
            method=repeat_graphs(self._method(runs, teachers), len(runs)),
            view=self.cohort[peers.start : peers.stop],
            rows=on_device(tuple(self.rows[peers.start : peers.stop]), self.device),
        )

    def _method(self, runs: Sequence[Run], teachers: Mapping[str, Path]) -> Method:
        spec = Spec.parse(runs[0].method)
        teacher = spec.options.get("teacher")
        if teacher is None:
            return methods.get(runs[0].method)
        folder = teachers.get(str(teacher), Path(str(teacher)))
        nets = [net for run in runs for net in networks_of(str(teacher), folder, run, self.dataset)]
        cohort = Cohort(nets, execute=self.execute, precision=self.run.precision).to(self.device).freeze()
        return methods.get(runs[0].method, teacher=cohort)

    def _optimizer(self, turn: int) -> torch.optim.Optimizer:
        extra = [p for m in self.members for p in m.method.parameters() if p.requires_grad]
        if extra and self.run.update != "together":
            raise ValueError(
                f"update={self.run.update!r}: this method has parameters of its own; use update='together'"
            )
        run = self.run
        return optim.build(
            [p for leaf in self.turn_leaves(turn) if isinstance(p := leaf.tensor, nn.Parameter)] + extra,
            run.optimizer,
            learning_rate=run.learning_rate,
            momentum=run.momentum,
            nesterov=run.nesterov,
            betas=run.betas,
            weight_decay=run.weight_decay,
        )

    def turn_leaves(self, turn: int) -> list[Leaf]:
        """The parameters that move in a turn."""
        return [leaf for leaf in self.leaves if self.turns[leaf.peers[0]] == turn]

    def _try_out(self, nets: Sequence[nn.Module], x: Tensor, *, named: bool) -> None:
        """A bug in a network is said before anything else is tried; of networks with one spec the first is asked."""
        specs = [spec for run in self.runs for spec in run.networks()]
        for peer, (net, spec) in enumerate(zip(nets, specs, strict=True)):
            if named and spec in specs[:peer]:
                continue
            with seeded(self.device, self.run.seed, "try", peer):
                try_out(
                    f"peer {peer} ({spec if named else type(net).__name__})",
                    net,
                    x[self.rows[peer]][:2],
                    autocast=self.run.precision == "bfloat16",
                )

    def _check_outputs(self, x: Tensor) -> None:
        self.cohort.eval()
        with torch.no_grad():
            logits = self.cohort(self._whole(x)).logits
            if self.dataset.retrieval is not None:
                self._check_embedding(x)
        self.cohort.train()
        self.cohort.passes.forward = 0
        if self.dataset.task != "classes":
            return
        if logits.dim() != 3 or logits.shape[1] != x.shape[1]:
            raise ValueError(
                f"a network gives outputs of shape {list(logits.shape[1:])} for a batch of {x.shape[1]}: let it return "
                f"logits of shape [{x.shape[1]}, {self.dataset.classes}]"
            )
        if logits.shape[-1] != self.dataset.classes:
            raise ValueError(
                f"models={' '.join(self.run.models)!r} give {logits.shape[-1]} classes, data={self.run.data!r} has "
                f"{self.dataset.classes}: build them for as many"
            )

    def _check_embedding(self, x: Tensor) -> None:
        """What the test part will be searched with is known before anything is trained."""
        try:
            embed(self.cohort, self._whole(x), self.run.embedding)
        except ValueError as error:
            raise ValueError(f"embedding={self.run.embedding!r}: {error}") from None

    # Batches --------------------------------------------------------------------------------------------------------

    def _whole(self, x: Tensor) -> Tensor | PerPeer:
        """Inputs ``[rows, B, ...]`` as those of all peers."""
        return x[0] if len(x) == 1 else PerPeer(x[on_device(tuple(self.rows), x.device)])

    def _part(self, member: Member, x: Tensor) -> Tensor | PerPeer:
        """Inputs ``[rows, B, ...]`` as those of a member's peers, one for each run that shares them."""
        if self._has_one_row(member):
            return x[self.rows[member.peers.start]]
        return PerPeer(x[member.rows if self.run.shards else member.rows[:: member.runs[0].peers]])

    def draw(self, epoch: int, step: int, stream: int = 0) -> tuple[Tensor | PerPeer, list[Batch]]:
        """The cohort's inputs and each member's batch."""
        where = (epoch, step, stream)
        x, y, index = self.streams.draw(where)
        whole = self._whole(x)
        view = cache(lambda number: self.streams.draw(where, number)[0])  # once for all members
        batches = [self._batch(member, where, view, whole, x, y, index) for member in self.members]
        own = [(m.peers, b.x.inputs) for m, b in zip(self.members, batches, strict=True) if self._own_views(m)]
        if own:  # the whole is what every peer sees, so peers with a view of their own have it there too
            each = x[on_device(tuple(self.rows), x.device)]
            for peers, inputs in own:
                each[peers.start : peers.stop] = inputs
            whole = PerPeer(each)
        return whole, batches

    def _has_one_row(self, member: Member) -> bool:
        """Whether all its peers learn from the same samples."""
        return len(set(self.rows[member.peers.start : member.peers.stop])) == 1

    def _own_views(self, member: Member) -> bool:
        return member.method.needs.own_views or self.run.own_views

    def _batch(
        self,
        member: Member,
        where: Where,
        view: Callable[[int], Tensor],
        whole: Tensor | PerPeer,
        x: Tensor,
        y: Tensor,
        index: Tensor,
    ) -> Batch:
        method, streams = member.method, self.streams
        one, row = self._has_one_row(member), self.rows[member.peers.start]
        if self._own_views(member):
            own = torch.stack([view(number) for number in range(member.runs[0].peers)])
            block = torch.arange(len(member.rows), device=self.device) % member.runs[0].peers
            inputs: Tensor | PerPeer = PerPeer(own[block, member.rows])
        else:
            inputs = whole if len(x) == 1 else self._part(member, x)
        first = member.runs[0].peers if self._own_views(member) else 1  # the views before it are x already
        return Batch(
            inputs,
            y[row] if one else y[member.rows],
            views=tuple(self._part(member, view(first + i)) for i in range(method.needs.views - 1)),
            index=index[row] if one else index[member.rows],
            partner=self._part(member, streams.partners(where)) if method.needs.partners else None,
            task=streams.task,
            smoothing=self.run.smoothing,
        )


def repeat_graphs(method: Method, runs: int) -> Method:
    """Make a method that of so many runs whose peers stand one after the other, each with the method's graphs."""
    for module in method.modules():
        for name, value in vars(module).items():
            if isinstance(value, Graph):
                setattr(module, name, value.repeat(runs))
    return method


__all__ = ["Fleet", "Member", "repeat_graphs"]
