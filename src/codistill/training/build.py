"""From runs to a fleet: networks -> cohort -> members -> turns, each a function of what came before."""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from codistill import data, discovery, methods, optim
from codistill.batch import PerPeer
from codistill.cohort import PRECISIONS, Cohort
from codistill.cohort.batch_norm import has_batch_norm
from codistill.cohort.collection import embed
from codistill.cohort.passes import uncounted
from codistill.cohort.timing import Trials, computing_with
from codistill.data.examples import DataSet
from codistill.data.split import limited
from codistill.description import PYTHON
from codistill.devices import device_named
from codistill.exchange import Mesh
from codistill.exchange.rounds import Silo
from codistill.exchange.shared_folder import SharedFolder
from codistill.graph import Graph
from codistill.methods import Method
from codistill.models.parts.trial import try_out
from codistill.randomness import derive, seeded
from codistill.run import Run
from codistill.spec import WrongKind
from codistill.training import batches, initial_weights
from codistill.training.best import Best
from codistill.training.fleet import Execution, Fleet, Member, PeerSlot, Turn, kind_of, seeds_of, shards_of, slots
from codistill.training.given import Factories, Folders, ask_for
from codistill.training.initial_weights import networks_of, teacher_networks
from codistill.training.requirements import check_needs, check_runs
from codistill.training.streams import Streams, training_seed


def build_fleet(
    runs: Sequence[Run],
    *,
    execute: str | None = None,
    threads: int | None = None,
    load: bool = True,
    dataset: DataSet | None = None,
    networks: Sequence[nn.Module] | None = None,
    teachers: Folders | None = None,
    factories: Factories | None = None,
    mesh: Mesh | None = None,
    shared: SharedFolder | Silo | None = None,
) -> Fleet:
    """The fleet of some runs, which may differ in their method, peers, networks and seed; settings as of `train`.

    ``execute`` and ``threads`` None are as the runs say; ``load`` is False where saved weights replace what networks
    start from. Raises a ValueError for runs that cannot be one fleet, or settings that do not fit the data.
    """
    silo = shared.peer if isinstance(shared, Silo) else None
    check_runs(runs, silo)
    run, table, folders, factories = runs[0], slots(runs, silo), teachers or {}, factories or {}
    device, dataset = device_of(run), limited(dataset_of(run, dataset), run.limit)
    streams = Streams(run, seeds_of(runs), dataset, device, shards_of(run), silo)
    nets = [_network(slot, dataset, folders, factories, load) for slot in table] if networks is None else list(networks)
    names, (x, _, _) = _names(table, networks), streams.draw((0, 0, 0))  # sharding changes the classes of networks
    nets, whole = _tried(table, nets, x, named=networks is None), batches.inputs_of(x, table)
    cohort, execution = _cohort(table, nets, whole, (execute, threads), mesh, shared, dataset.classes)
    normalised = _check_outputs(cohort, run, dataset, whole, x.shape[1])
    members = _prepared(members_of(table, cohort, dataset, execution.execute, folders, factories), streams, device)
    return Fleet(
        slots=table,
        dataset=dataset,
        device=device,
        streams=streams,
        cohort=cohort,
        members=members,
        turns=tuple(turns_of(table, cohort, members)),
        average=cohort.frozen(moving=True) if run.average else None,
        best=Best(cohort) if run.keep == "best_valid" else None,
        schedule=optim.schedule(run.schedule, run.warmup),
        execution=execution,
        names=names,
        shared=shared,
        normalised=normalised,
    )


def _names(table: Sequence[PeerSlot], networks: Sequence[nn.Module] | None) -> tuple[str, ...]:
    """What peers' networks are called: their specs, or the classes of those that were given."""
    given = [type(net).__name__ for net in networks or ()]
    return tuple(given or (str(slot.run.networks()[slot.number]) for slot in table))


def device_of(run: Run) -> torch.device:
    """Where a run is computed.

    Raises:
        ValueError: that device is not there.
    """
    return device_named(run.device)


def dataset_of(run: Run, given: DataSet | None) -> DataSet:
    """The data set that was given, or else the one that a run names."""
    if given is None:
        if run.data.name == PYTHON:
            raise ask_for(run, "data set")
        if re.fullmatch(r"\w+", run.data.name) and not Path(run.data.name).exists():  # loading answers paths
            discovery.check_name("codistill.data", run.data)
        return data.load(run.data, Path(run.data_root) if run.data_root else None, run.download)
    if not isinstance(given, DataSet):
        raise WrongKind(
            f"dataset is a {type(given).__name__}: give a DataSet, codistill.data.from_dataset(train, test) makes one "
            "from pairs of an input and a label"
        )
    return given


# Networks -----------------------------------------------------------------------------------------------------------


def _network(slot: PeerSlot, dataset: DataSet, teachers: Folders, factories: Factories, load: bool) -> nn.Module:
    """A peer's network; its initial weights are a function of the seed and its number in its run."""
    run = slot.run
    spec = run.networks()[slot.number]
    plain = initial_weights.untrained(spec)
    if spec.name == PYTHON and plain not in factories:
        raise ask_for(run, "networks")
    if plain != spec and load:
        if str(plain) not in teachers:
            raise ValueError(f"model '{spec}': start=alone is for comparisons; give the folder of a finished run")
        return teacher_networks(teachers[str(plain)], run, dataset, str(plain), factories)[0]
    seed = derive(training_seed(run), "init", slot.number)
    return initial_weights.network(plain, dataset, seed, load=load, factories=factories)


def _tried(table: Sequence[PeerSlot], nets: list[nn.Module], x: Tensor, *, named: bool) -> list[nn.Module]:
    """The networks on their device: a bug in one is said before anything else; of those with one spec the first is
    asked."""
    if len(nets) != len(table):
        raise ValueError(f"{len(nets)} networks were given for {len(table)} peers")
    run, specs = table[0].run, [slot.run.networks()[slot.number] for slot in table]
    nets = [net.to(x.device, PRECISIONS[run.precision]) for net in nets]
    for peer, (slot, net, spec) in enumerate(zip(table, nets, specs, strict=True)):
        if not named or spec not in specs[:peer]:
            name = f"peer {peer} ({spec if named else type(net).__name__})"
            with seeded(x.device, run.seed, "try", peer):
                try_out(name, net, x[slot.row][:2], autocast=run.precision == "bfloat16")
    return nets


# Cohort -------------------------------------------------------------------------------------------------------------


def _cohort(
    table: Sequence[PeerSlot],
    nets: Sequence[nn.Module],
    x: Tensor | PerPeer,
    how: tuple[str | None, int | Literal["auto"] | None],
    mesh: Mesh | None,
    shared: SharedFolder | Silo | None,
    classes: int,
) -> tuple[Cohort, Execution]:
    """All peers behind one call, and how they run (executor and threads); ``auto`` is decided by timing each way."""
    execute, threads = how[0] or table[0].run.execute, how[1] or table[0].run.threads
    run, turns, trunks = table[0].run, [slot.turn for slot in table], [slot.trunk for slot in table]
    build = partial(Cohort, precision=run.precision, branch_at=run.branch_at)
    peer = shared.peer if isinstance(shared, Silo) else None
    trials = Trials(nets if peer is None else nets[peer : peer + 1], x, build, turns, trunks, run.seed)
    timing: dict[str, float] = {}
    thread_timing: dict[str, float] = {}
    mesh = mesh or Mesh()
    if mesh.sharded and (execute == "auto" or how[0]):
        execute = "loop"  # a stack cannot be sharded, also where a checkpoint is of one
    if execute == "auto" and mesh.data > 1 and any(map(has_batch_norm, nets)):
        execute = "loop"  # a stack cannot take statistics over several processes
    with computing_with(torch.get_num_threads() if threads == "auto" else threads):
        if execute == "auto":
            execute, timing = mesh.agreed(trials.executors(None if threads == "auto" else threads))
        if threads == "auto":
            threads, thread_timing = mesh.agreed(trials.threads(execute))
    own, told = shared.own if shared is not None else None, None if peer is None else classes
    cohort = build(nets, execute=execute, turns=turns, trunks=trunks, mesh=mesh, own=own, told=told)
    return cohort, Execution(execute, timing, threads, thread_timing)


@uncounted()
def _check_outputs(cohort: Cohort, run: Run, dataset: DataSet, x: Tensor | PerPeer, size: int) -> tuple[int, ...]:
    """Raises a ValueError for outputs that cannot be logits; the peers whose outputs seem to be none."""
    cohort.eval()
    logits = cohort(x).logits
    normalised = _check_logits(cohort, run, logits)
    with torch.no_grad():
        if dataset.retrieval is not None:  # how the test part is embedded is known before anything is trained
            try:
                embed(cohort, x, run.embedding)
            except ValueError as error:
                raise ValueError(f"embedding={run.embedding!r}: {error}") from None
    cohort.train()
    if dataset.task != "classes":
        return normalised
    if logits.dim() != 3 or logits.shape[1] != size:
        raise ValueError(
            f"a network gives outputs of shape {list(logits.shape[1:])} for a batch of {size}: let it return "
            f"logits of shape [{size}, {dataset.classes}]"
        )
    if logits.shape[-1] != dataset.classes:
        raise ValueError(
            f"models='{' '.join(map(str, run.models))}' give {logits.shape[-1]} classes, data='{run.data}' has "
            f"{dataset.classes}: build them for as many"
        )
    return normalised


def _check_logits(cohort: Cohort, run: Run, logits: Tensor) -> tuple[int, ...]:
    """Outputs that no gradient can reach are an error; those that are probabilities already, a warning.

    Args:
        cohort: whose they are.
        run: of it.
        logits: ``[P, ..., C]``.

    Returns: the peers whose outputs are probabilities.
    """
    if not logits.requires_grad and any(p.requires_grad for p in cohort.parameters()):
        raise ValueError(
            f"models='{' '.join(map(str, run.models))}': the outputs have no gradient, so nothing can be learnt: "
            "return logits, without argmax, detach or no_grad"
        )
    if logits.dim() < 3 or logits.shape[-1] == 1:
        return ()
    each = logits.detach().flatten(1, -2)
    are = (each >= 0).flatten(1).all(1) & torch.isclose(each.sum(-1), torch.ones(()).to(each), atol=1e-3).all(1)
    found = tuple(are.nonzero().flatten().tolist())
    if found:
        warnings.warn(
            f"models='{' '.join(map(str, run.models))}': the outputs of a network sum to 1 already: return logits, "
            "without a softmax at the end, or they are normalised twice and hardly learn",
            stacklevel=2,
        )
    return found


# Members ------------------------------------------------------------------------------------------------------------


def members_of(
    table: Sequence[PeerSlot],
    cohort: Cohort,
    dataset: DataSet,
    execute: str,
    teachers: Folders,
    factories: Factories,
) -> Iterator[Member]:
    """Every method with its peers; runs of one kind share one where `Needs.couples` lets them."""
    peers: dict[Run, list[int]] = {}
    for peer, slot in enumerate(table):
        side_by_side = methods.find(slot.run.method).needs.couples == "edges"
        peers.setdefault(kind_of(slot.run) if side_by_side else slot.run, []).append(peer)
    for numbers in peers.values():
        span = range(numbers[0], numbers[-1] + 1)
        own = tuple(table[span.start : span.stop])
        runs = tuple(dict.fromkeys(slot.run for slot in own))
        method = repeat_graphs(_method(runs, dataset, execute, cohort.mesh, teachers, factories), len(runs))
        member = Member(runs, span, own, method, cohort[span.start : span.stop])
        check_needs(method, member.run)
        yield member


def repeat_graphs(method: Method, runs: int) -> Method:
    """Make a method that of so many runs whose peers stand one after the other, each with the method's graphs."""
    for module in method.modules():
        for name, value in vars(module).items():
            if isinstance(value, Graph):
                setattr(module, name, value.repeat(runs))
    return method


def _method(
    runs: Sequence[Run], dataset: DataSet, execute: str, mesh: Mesh, teachers: Folders, factories: Factories
) -> Method:
    teacher = runs[0].method.options.get("teacher")
    if teacher is None:
        return methods.get(runs[0].method)
    folder = teachers.get(str(teacher), Path(str(teacher)))
    nets = [net for run in runs for net in networks_of(str(teacher), folder, run, dataset, factories)]
    cohort = Cohort(nets, execute=execute, precision=runs[0].precision, mesh=mesh.flat())
    cohort.to(device_of(runs[0])).freeze()
    return methods.get(runs[0].method, teacher=cohort)


@uncounted()
def _prepared(every: Iterable[Member], streams: Streams, device: torch.device) -> tuple[Member, ...]:
    """The members, their methods ready for the first step."""
    members = tuple(every)
    first = batches.draw(streams, members, (0, 0, 0))
    for member, batch in zip(members, first, strict=True):
        with seeded(device, training_seed(member.run), "prepare", 0):  # whatever else is in the fleet
            member.method.to(device)
            member.method.samples, member.method.epochs = streams.samples, streams.epochs
            member.method.check_task(batch)
            member.method.prepare(member.view, batch)
            member.method.to(device)
    return members


# Optimizers ---------------------------------------------------------------------------------------------------------


def turns_of(table: Sequence[PeerSlot], cohort: Cohort, members: Sequence[Member]) -> Iterator[Turn]:
    """Who is updated when, each turn with an optimizer of its own."""
    run, rates = table[0].run, [optim.rates_of(slot.run) for slot in table]
    extra = {p: optim.rates_of(m.run) for m in members for p in m.method.parameters() if p.requires_grad}
    if extra and run.update != "together":
        raise ValueError(f"update={run.update!r}: this method has parameters of its own; use update='together'")
    for number in range(max(slot.turn for slot in table) + 1):
        groups = tuple(group for group in cohort.every_group if group.turn == number)
        whole = (leaf for group in groups for leaf in group.leaves() if leaf.tensor.requires_grad)
        leaves, divided = optim.divide(whole, rates)
        trained = {leaf.tensor: rates[leaf.peers[0]] for leaf in leaves} | extra
        # an optimizer must have a parameter, and another process may have all peers of a turn
        trained = trained or {torch.zeros((), requires_grad=True): rates[0]}
        optimizer = optim.build(trained, run, trained.values())
        yield Turn(number, groups, leaves, optimizer, run.clip, len(table), cohort.mesh, tuple(extra), divided)
