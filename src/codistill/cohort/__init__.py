"""A cohort: all peers behind one call."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from codistill.batch import Batch, Inputs, PerPeer, value_of
from codistill.checks import one_of
from codistill.cohort.batch_norm import synchronise
from codistill.cohort.branches import branch, trunk_of
from codistill.cohort.groups import Group as Group, Leaf, Raw, alike as alike, rows_of
from codistill.cohort.outputs import Feature, Outputs as Outputs, Taps, assembled
from codistill.cohort.passes import Passes
from codistill.cohort.remote import Remote, spread
from codistill.cohort.stale import Stale, beside
from codistill.cohort.stepcache import Forward, StepCache
from codistill.cohort.told import Told, among
from codistill.exchange import Blocks, Mesh
from codistill.losses.posterior import full_precision
from codistill.randomness import seeded

EXECUTORS = ("loop", "stack", "channels_last")
PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}


Shared = TypeVar("Shared", Tensor, list[Tensor], Feature)


class PeerSet(ABC):
    """What a cohort and a view of some of its peers have in common; peers are numbered within it.

    Attributes:
        peers: their numbers in the cohort.
    """

    peers: tuple[int, ...]

    @property
    @abstractmethod
    def cohort(self) -> "Cohort":
        """Of all peers."""

    def __len__(self) -> int:
        return len(self.peers)

    def __getitem__(self, peers: int | slice | Sequence[int]) -> "View":
        """A view of some peers: one, a slice, or a list of numbers."""
        chosen = [peers] if isinstance(peers, int) else range(len(self))[peers] if isinstance(peers, slice) else peers
        if not chosen or not all(0 <= peer < len(self) for peer in chosen):
            raise IndexError(f"peers {list(chosen)} of a cohort of {len(self)}")
        return View(self.cohort, tuple(self.peers[peer] for peer in chosen))

    @property
    def device(self) -> torch.device:
        """Where its networks are."""
        return next(itertools.chain(self.cohort.parameters(), self.cohort.buffers())).device

    @property
    def held(self) -> tuple[int, ...]:
        """The peers whose weights are in this process, by their numbers within this set: all, unless on a mesh or of
        other silos."""
        located = self.cohort.located
        return tuple(i for i, peer in enumerate(self.peers) if not isinstance(located[peer][0], Remote | Told))

    def parts(self) -> list[Group]:
        """The groups that its peers, and maybe others, are executed in."""
        return [group for group in self.cohort.every_group if not set(group.peers).isdisjoint(self.peers)]

    def network(self, peer: int) -> nn.Module:
        """One peer as an ordinary module: itself in a loop, a copy from a stack."""
        group, row = self.cohort.located[self.peers[peer]]
        return group.network(row)

    def peer_state(self, peer: int) -> dict[str, Tensor]:
        """One peer's parameters and buffers by its own names; they know nothing of stacking."""
        group, row = self.cohort.located[self.peers[peer]]
        return {name: tensor.detach() for name, tensor in group.state(row).items()}

    def tap(self, name: str, submodules: str | Sequence[str] | None = None) -> None:
        """Return a feature with every output from now on.

        Args:
            name: how it is called in `Outputs.features`; also the submodule, where that is not said.
            submodules: the submodule (``"stage3"``, or ``"stage3.4.relu:input"`` for what goes in), or one for each
                peer of heterogeneous networks.
        """
        submodules = submodules or name
        chosen = (submodules,) * len(self) if isinstance(submodules, str) else tuple(submodules)
        if len(chosen) != len(self):
            raise ValueError(f"feature {name!r}: {len(chosen)} submodules for {len(self)} peers")
        for peer, submodule in zip(self.peers, chosen, strict=True):
            self.cohort.taps.setdefault(peer, {})[name] = submodule

    def probe(self, batch: Batch) -> Outputs:
        """What peers make of a batch, to look at its shapes: without gradient, it moves no buffer and draws nothing."""
        with torch.no_grad(), seeded(self.device, 0):  # dropout takes no numbers from those that are drawn afterwards
            return self.cohort.outputs(batch.x, self.peers)

    def share(self, outputs: Shared) -> Shared:
        """What students may imitate: logits or a feature, detached. The only source of peer targets."""
        return outputs.detach() if isinstance(outputs, Tensor) else [one.detach() for one in outputs]

    def latest(self) -> Tensor:
        """The logits ``[P, B, ...]``, detached, that every peer made of its batch just before its own update.

        In `train`: in this step, whoever asked for them. In your own loop: those of the last call.

        Raises:
            ValueError: a peer has made none yet.
        """
        made = self.cohort.made
        if missing := [number for number, peer in enumerate(self.peers) if peer not in made]:
            raise ValueError(f"peer {missing[0]} has predicted nothing yet: call the cohort first, cohort(batch.x)")
        logits, rows = made[self.peers[0]][0], [made[peer][1] for peer in self.peers]
        if all(made[peer][0] is logits for peer in self.peers):
            return rows_of(logits, rows)
        return torch.stack([made[peer][0][row] for peer, row in zip(self.peers, rows, strict=True)])

    def scale_trunk(self, factor: float) -> None:
        """Let the gradient into the trunk that these peers share be the sum over their branches times a factor.

        Raises:
            ValueError: they are not the branches, all of them, of one trunk.
        """
        trunk_of(self.parts(), self.peers).trunk_scale = factor

    @torch.no_grad()
    def frozen(self, *, moving: bool = False, batch_statistics: bool = False) -> "Cohort":
        """A copy that nobody trains, in eval mode: a teacher, a past self.

        Args:
            moving: it will `follow` the peers, so it is part of their method's checkpoint.
            batch_statistics: in train mode instead, for good: batch norm takes each batch's own statistics and leaves
                the running ones alone. For averages of weights, which no running statistics fit.
        """
        groups: list[Group] = []
        for group in self.parts():
            rows = [row for row, peer in enumerate(group.peers) if peer in self.peers]
            groups.append(group.take(rows, [self.peers.index(group.peers[row]) for row in rows]))
        cohort = Cohort.__new__(Cohort)
        nn.Module.__init__(cohort)
        cohort._hold(groups, self.cohort.precision, self.cohort.mesh)
        return cohort.freeze(moving=moving, batch_statistics=batch_statistics)


class View(PeerSet):
    """Some peers of a cohort; it has no parameters of its own."""

    def __init__(self, cohort: "Cohort", peers: tuple[int, ...]) -> None:
        self._cohort, self.peers = cohort, peers

    @property
    def cohort(self) -> "Cohort":
        return self._cohort

    def __call__(self, x: Any) -> Outputs:
        return self._cohort.outputs(x, self.peers)


class Cohort(PeerSet, nn.Module):
    """Networks that learn together.

    Args:
        nets: any modules that map inputs to logits (a tensor, or an object with ``.logits``).
        branch_at: submodule from which on the peers of one trunk are branches; before it they share the trunk, which is
            that of the first of them. Networks must be an `nn.Sequential`.
        trunks: of each peer, the number of its trunk.
        execute: ``loop`` runs them one after the other and uses the given modules themselves; ``stack`` copies like
            networks into parameters with a leading peer dim, and `network` gives one back; ``channels_last`` is the
            loop with images and convolutions in that memory format, faster for many convolutional networks.
        turns: when each peer is updated, for peers that take turns (then no stack holds two turns).
        precision: ``float32``, ``float64`` or ``bfloat16`` (autocast; logits come out in float32); None leaves the
            networks as they are.
        mesh: the processes among which peers and samples are dealt out, each of which gives all networks; it keeps its
            own. None: there is this one alone.
        own: the peers that this process trains, where it has copies of the others that nobody trains here. None: all.
        told: the number of classes, where it has no copies of the others, but is told what they predict (see `Told`).

    Raises:
        ValueError: no network, one network given twice, an unknown setting, a mesh that they do not fit.
    """

    def __init__(
        self,
        nets: Sequence[nn.Module],
        *,
        execute: str = "loop",
        turns: Sequence[int] | None = None,
        precision: str | None = None,
        branch_at: str | None = None,
        trunks: Sequence[int] | None = None,
        mesh: Mesh | None = None,
        own: Sequence[int] | None = None,
        told: int | None = None,
    ) -> None:
        super().__init__()
        one_of("execute", execute, EXECUTORS)
        if precision is not None:
            one_of("precision", precision, PRECISIONS)
        if not nets:
            raise ValueError("a cohort needs at least one network")
        for i, net in enumerate(nets):
            if any(net is other for other in nets[:i]):
                raise ValueError(f"peer {i} is the very network of an earlier peer: build one network for each peer")
        if precision is not None:
            nets = [net.to(PRECISIONS[precision]) for net in nets]
        if branch_at is not None and len(set(turns or [0])) > 1:
            raise ValueError("branches of one trunk have no turns; use update='together'")
        turns, trunks, mesh = turns or [0] * len(nets), trunks or [0] * len(nets), mesh or Mesh()
        _check_processes(mesh, branch_at, own, execute)
        if mesh.shards is not None:
            synchronise(nets, mesh, execute)
        if own is not None and told is not None:
            groups = among(nets, execute, turns, own[0], told)
        elif own is not None:
            groups = beside(nets, execute, turns, own)
        elif branch_at is not None:
            groups = branch(nets, branch_at, trunks, execute)
        else:
            groups = spread(nets, execute, turns, mesh)
        self._hold(groups, precision, mesh)

    def _hold(self, groups: Sequence[Group], precision: str | None, mesh: Mesh) -> None:
        self.groups = nn.ModuleList(groups)
        self.precision, self.mesh, self._blocks = precision, mesh, Blocks(mesh)
        self.fixed = self.moving = self.batch_statistics = False  # see `freeze`
        self.peers = tuple(range(sum(len(group.peers) for group in groups)))
        self.taps: dict[int, dict[str, str]] = {}  # peer -> feature -> submodule
        self.passes = Passes()
        self.made: dict[int, tuple[Tensor, int]] = {}  # see `latest`: peer -> logits, row
        self._cache: StepCache | None = None

    @property
    def cohort(self) -> "Cohort":
        return self

    @cached_property
    def every_group(self) -> tuple[Group, ...]:
        """The groups that peers are executed in."""
        return tuple(self.groups)  # type: ignore[arg-type]

    @cached_property
    def located(self) -> dict[int, tuple[Group, int]]:
        """Of each peer, its group and its row in it."""
        return {peer: (group, row) for group in self.every_group for row, peer in enumerate(group.peers)}

    @property
    def parameter_count(self) -> int:
        """The parameters of all peers, wherever they are; a trunk's once."""
        remote = sum(sum(group.sizes) for group in self.every_group if isinstance(group, Remote))
        return remote + sum(p.numel() for p in self.parameters())

    # Tensors --------------------------------------------------------------------------------------------------------

    def leaves(self) -> Iterator[Leaf]:
        """Every tensor of the peers, parameters and buffers, as it is held."""
        for group in self.every_group:
            yield from group.leaves()

    @torch.no_grad()
    def load_peer_state(self, peer: int, state: dict[str, Tensor]) -> None:
        """Set one peer's parameters and buffers.

        Raises:
            ValueError: names or shapes are not this network's; the first difference is named.
        """
        tensors = self.peer_state(peer)
        if tensors.keys() != state.keys():
            name = min(tensors.keys() ^ state.keys())
            raise ValueError(f"peer {peer}: {name!r} is {'missing' if name in tensors else 'not in this network'}")
        for name, tensor in tensors.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"peer {peer}: {name!r} is {list(state[name].shape)}, this network's is {list(tensor.shape)}"
                )
        group, row = self.located[peer]
        group.load(row, state)

    # Forward passes -------------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Outputs:
        """All peers' logits and features for inputs shared by all, a `PerPeer`, or a step's `Inputs`."""
        return self.outputs(x, self.peers)

    def outputs(self, x: Any, peers: tuple[int, ...], taps: Taps | None = None) -> Outputs:
        """Logits and features of some peers, in this order.

        Args:
            x: inputs.
            peers: their numbers.
            taps: features of this call alone, in place of those that were tapped.
        """
        cache = self._cache
        inputs, computed = cache.source(x, peers) if cache is not None and isinstance(x, Inputs) else (x, peers)
        rows: dict[Group, list[int]] = {}
        for peer in computed:
            group, row = self.located[peer]
            rows.setdefault(group, []).append(row)
        numbers = {group: [group.peers[row] for row in rows[group]] for group in rows}
        asked = [group for group in rows if not set(peers).isdisjoint(numbers[group])]
        wanted = {peer: taps if taps is not None else self.taps.get(peer, {}) for peer in computed}
        order = {peer: i for i, peer in enumerate(computed)}

        def run(group: Group, keep_buffers: bool) -> Raw:
            given = _inputs_of(value_of(inputs), [order[peer] for peer in numbers[group]], len(computed))
            submodules = dict.fromkeys(name for peer in numbers[group] for name in wanted[peer].values())
            return self._run(group, self._shard(given), rows[group], list(submodules), keep_buffers)

        forward = Forward(run) if self.mesh.size == 1 else Forward(run, partial(self._whole, value_of(inputs), wanted))
        if cache is None:
            raws = list(forward(asked, lambda _: True).values())
        elif isinstance(x, Inputs):
            raws = cache.recall(inputs, (computed, torch.is_grad_enabled(), self.training), asked, forward)
        else:
            raws = cache.apart(asked, forward)
        outputs = assembled(raws, [numbers[group] for group in asked], peers, {peer: wanted[peer] for peer in peers})
        self._note(outputs.logits, inputs, peers)
        return outputs

    def _run(self, group: Group, x: Any, rows: list[int], taps: list[str], keep_buffers: bool) -> Raw:
        learns = not (self.fixed or isinstance(group, Stale))
        if not isinstance(group, Told):
            self.passes.count(len(rows), gradient=torch.is_grad_enabled() and learns)
        drawing = self._blocks.drawing(self.device) if self.mesh.size > 1 and self.training else nullcontext()
        autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")
        with drawing, autocast:
            logits, features = group.run(x, rows, taps, (keep_buffers or self.fixed) and self.training)
        return full_precision(logits), features

    def _shard(self, x: Any) -> Any:
        """This process's samples of a group's inputs."""
        if isinstance(x, PerPeer):
            return PerPeer(self._blocks.shard(x.inputs, 1))
        return self._blocks.shard(x, 0)

    def _whole(self, x: Any, wanted: Mapping[int, Taps], raws: dict[Group, Raw]) -> dict[Group, Raw]:
        """The outputs of groups for inputs x, of which each process has computed its own part."""
        dim, x = (1, x.inputs) if isinstance(x, PerPeer) else (0, x)
        shapes = [t.shape for t in pytree.tree_leaves(x)]
        names = {g: list(dict.fromkeys(name for p in g.peers for name in wanted.get(p, {}).values())) for g in raws}
        told = self._cache.told if self._cache is not None else None
        own = [
            [] if isinstance(g, Remote) else [*(told.told(z) if told else [z]), *map(f.__getitem__, names[g])]
            for g, (z, f) in raws.items()
        ]
        places = [g.place if isinstance(g, Remote) else self.mesh.place for g in raws]
        key = (tuple((g.peers, tuple(names[g])) for g in raws), tuple(wanted), tuple(shapes), dim, told)
        whole = self._blocks.whole(own, places, shapes[0][dim], self.device, key)
        if told is not None:  # and this process's own logits are of all samples
            each = zip(raws, whole, strict=True)
            whole = [[told.filled(w[:3]) if isinstance(g, Remote) else raws[g][0], *w[3:]] for g, w in each]
        return {
            g: (z, dict(zip(names[g], features, strict=True))) for g, (z, *features) in zip(raws, whole, strict=True)
        }

    def _note(self, logits: Tensor, inputs: Any, peers: tuple[int, ...]) -> None:
        """Of a step, what those who learn now made of its batch; without a step, what this call gave."""
        cache = self._cache
        if cache is not None and not (inputs is cache.batch and torch.is_grad_enabled()):
            return
        detached = logits.detach()
        for row, peer in enumerate(peers):
            if cache is None or cache.learns(self.located[peer][0]):
                self.made[peer] = (detached, row)

    @contextmanager
    def remember(self, batch: Inputs | None = None, *, active: frozenset[Group] | None = None) -> Iterator[StepCache]:
        """Inside, what is computed once for a handle is not computed again: for one step, while weights stand.

        Args:
            batch: the handle of what the step learns from.
            active: see `StepCache`.
        """
        self._cache = StepCache(batch, active)
        try:
            yield self._cache
        finally:
            self._cache = None

    # Copies ---------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def follow(self, cohort: PeerSet, decay: float = 0.0) -> None:
        """Move a frozen copy towards the peers: parameters = decay * own + (1 - decay) * theirs; buffers are copied.

        A trunk that several peers share moves once.
        """
        if not self.moving:
            raise ValueError("only a copy that was made by frozen(moving=True) follows its peers")
        located = {peer: cohort.cohort.located[cohort.peers[peer]] for peer in self.held}
        states = {peer: group.pieces(row) for peer, (group, row) in located.items()}
        for leaf in self.leaves():
            each = [states[peer][leaf.name] for peer in leaf.peers]
            theirs = torch.stack(each) if leaf.stacked else each[0]
            if decay and isinstance(leaf.tensor, nn.Parameter):
                leaf.tensor.lerp_(theirs, 1.0 - decay)
            else:
                leaf.tensor.copy_(theirs)

    def freeze(self, *, moving: bool = False, batch_statistics: bool = False) -> "Cohort":
        """Make this a frozen cohort, nobody's to train: no gradients, and one mode for good; see `frozen`."""
        self.fixed, self.moving, self.batch_statistics = True, moving, batch_statistics
        self.requires_grad_(False)
        return self.train()

    def train(self, mode: bool = True) -> "Cohort":
        """As of any module; a frozen cohort stays in the mode it is in, whoever owns it."""
        return super().train(self.batch_statistics if self.fixed else mode)


def _check_processes(mesh: Mesh, branch_at: str | None, own: Sequence[int] | None, execute: str) -> None:
    """Peers that other processes train, in ways that do not go together, are an error."""
    if mesh.sharded and (branch_at is not None or execute != "loop"):
        what = f"execute={execute!r}" if execute != "loop" else "branches of one trunk"
        raise ValueError(f"mesh: shard=true: {what} cannot be sharded; set execute=loop, or leave out shard")
    if branch_at is not None and mesh.peer > 1:
        raise ValueError(
            f"mesh: peer={mesh.peer}: one process trains the branches of a trunk; set peer=1, and data instead"
        )
    if own is not None and (branch_at is not None or mesh.size > 1):
        raise ValueError("own: peers with copies of others are neither branches nor on a mesh; leave those out")


def _inputs_of(x: Any, numbers: list[int], count: int) -> Any:
    """A group's inputs, by the numbers of its peers among the ``count`` that these inputs are for."""
    if not isinstance(x, PerPeer):
        return x
    blocks = len(pytree.tree_leaves(x.inputs)[0])
    if count % blocks:
        raise ValueError(f"inputs for {blocks} peers, or blocks of peers, were given to {count} peers")
    chosen = [number // (count // blocks) for number in numbers]
    return PerPeer(pytree.tree_map(lambda t: rows_of(t, chosen), x.inputs))


Peers = Cohort | View
