"""A cohort: all peers behind one call."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from codistill.batch import Batch, PerPeer
from codistill.cohort.branches import branch
from codistill.cohort.groups import Group, Leaf, Raw, Single, Stack, alike, arrange, on_device
from codistill.cohort.memory import Memory
from codistill.losses.posterior import full_precision
from codistill.randomness import seeded

EXECUTORS = ("loop", "stack")
Feature = Tensor | list[Tensor]


class Outputs(NamedTuple):
    """What peers make of a batch.

    Attributes:
        logits: ``[P, B, ...]``.
        features: by tap, ``[P, B, ...]``, or a list of P tensors ``[B, ...]`` where their shapes differ.
    """

    logits: Tensor
    features: dict[str, Feature]

    def pooled(self, *names: str) -> Tensor:
        """Features side by side, of maps the mean over their positions, in float32 at least: ``[P, B, F]``.

        Raises:
            ValueError: they are not equally wide in all peers.
        """
        features = [self.features[name] for name in names]
        if all(isinstance(f, Tensor) for f in features):
            return torch.cat([_pooled(f, 2) for f in features if isinstance(f, Tensor)], -1)
        each = self.pooled_by_peer(*names)
        if len({f.shape[-1] for f in each}) > 1:
            widths = ", ".join(str(f.shape[-1]) for f in each)
            raise ValueError(
                f"features={'/'.join(names)!r} are {widths} wide in these peers, and this method compares them, or "
                "gives each the same classifier: name others, or give networks where they are equally wide"
            )
        return torch.stack(each)

    def pooled_by_peer(self, *names: str) -> list[Tensor]:
        """As `pooled`, each peer's ``[B, F]``: of any width."""
        return [torch.cat([_pooled(self.features[name][i], 1) for name in names], -1) for i in range(len(self.logits))]


def _pooled(feature: Tensor, leading: int) -> Tensor:
    """Mean over the positions, which follow so many leading dims and the channels."""
    return full_precision(feature.flatten(leading + 1).mean(-1) if feature.dim() > leading + 1 else feature)


@dataclass
class Passes:
    """Network passes so far, one per network and batch; every forward that carries a gradient is gone back once."""

    forward: int = 0
    backward: int = 0


class Cohort(nn.Module):
    """Networks that learn together.

    Args:
        nets: any modules that map inputs to logits (a tensor, or an object with ``.logits``).
        branch_at: submodule from which on the peers of one trunk are branches; before it they share the trunk, which is
            that of the first of them. Networks have to be an `nn.Sequential`.
        trunks: of each peer, the number of its trunk.
        execute: ``loop`` runs them one after the other and uses the given modules themselves; ``stack`` copies like
            networks into parameters with a leading peer dim, and `network` gives one back.
        turns: when each peer is updated, for peers that take turns (then no stack holds two turns).
        precision: ``float32``, ``float64`` or ``bfloat16`` (autocast; logits come out in float32); None leaves the
            networks as they are.

    Raises:
        ValueError: no network, one network given twice, an unknown setting.
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
    ) -> None:
        super().__init__()
        if execute not in EXECUTORS:
            raise ValueError(f"execute={execute!r}: choose one of {', '.join(EXECUTORS)}")
        if precision is not None and precision not in PRECISIONS:
            raise ValueError(f"precision={precision!r}: choose one of {', '.join(PRECISIONS)}")
        if not nets:
            raise ValueError("a cohort needs at least one network")
        for i, net in enumerate(nets):
            if any(net is other for other in nets[:i]):
                raise ValueError(f"peer {i} is the very network of an earlier peer: build one network for each peer")
        if precision is not None:
            nets = [net.to(PRECISIONS[precision]) for net in nets]
        self.precision = precision
        if branch_at is not None:
            if len(set(turns or [0])) > 1:
                raise ValueError("branches of one trunk have no turns; use update='together'")
            self._adopt(branch(nets, branch_at, trunks or [0] * len(nets), execute))
        else:
            self._adopt(arrange(nets, execute, turns or [0] * len(nets)))

    def _adopt(self, groups: Sequence[Group]) -> None:
        self.groups = nn.ModuleList(groups)
        self.taps: dict[str, dict[int, str]] = {}  # feature -> peer -> submodule
        self.memory: Memory | None = None
        self.passes = Passes()
        self.fixed = False
        self.moving = False
        self.batch_statistics = False

    @cached_property
    def _place(self) -> dict[int, tuple[Group, int]]:
        return {peer: (group, row) for group in self.parts() for row, peer in enumerate(group.peers)}

    def parts(self) -> list[Group]:
        """The groups that peers are executed in."""
        return list(self.groups)  # type: ignore[arg-type]

    # The peers ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._place)

    def __getitem__(self, peers: int | slice | Sequence[int]) -> "View":
        """A view of some peers: one, a slice, or a list of numbers."""
        if isinstance(peers, int):
            peers = [peers]
        chosen = tuple(range(len(self))[peers]) if isinstance(peers, slice) else tuple(peers)
        if not chosen or not all(0 <= p < len(self) for p in chosen):
            raise IndexError(f"peers {list(chosen)} of a cohort of {len(self)}")
        return View(self, chosen)

    @property
    def peers(self) -> tuple[int, ...]:
        """Their numbers."""
        return tuple(range(len(self)))

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def network(self, peer: int) -> nn.Module:
        """One peer as an ordinary module: itself in a loop, a copy from a stack."""
        group, row = self._place[peer]
        return group.network(row)

    def leaves(self) -> Iterator[Leaf]:
        """Every tensor of the peers, parameters and buffers, as it is held."""
        for group in self.parts():
            yield from group.leaves()

    def peer_state(self, peer: int) -> dict[str, Tensor]:
        """One peer's parameters and buffers by its own names; they know nothing of stacking."""
        group, row = self._place[peer]
        return {name: tensor.detach() for name, tensor in group.state(row).items()}

    @torch.no_grad()
    def load_peer_state(self, peer: int, state: dict[str, Tensor]) -> None:
        """Set one peer's parameters and buffers.

        Raises:
            ValueError: names or shapes are not this network's; the first difference is named.
        """
        own = self.peer_state(peer)
        if own.keys() != state.keys():
            name = min(own.keys() ^ state.keys())
            raise ValueError(f"peer {peer}: {name!r} is {'missing' if name in own else 'not in this network'}")
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"peer {peer}: {name!r} is {list(state[name].shape)}, this network's is {list(tensor.shape)}"
                )
        for name, tensor in own.items():
            tensor.copy_(state[name])

    # Forward passes -------------------------------------------------------------------------------------------------

    def tap(self, name: str, submodules: str | Sequence[str] | None = None) -> None:
        """Return a feature with every output from now on.

        Args:
            name: how it is called in `Outputs.features`; also the submodule, where that is not said.
            submodules: the submodule (``"stage3"``, or ``"stage3.4.relu:input"`` for what goes in), or one for each
                peer of unlike networks.
        """
        self[:].tap(name, submodules)

    def probe(self, batch: Batch) -> Outputs:
        """What peers make of a batch, to look at its shapes: without gradient, it moves no buffer and draws nothing."""
        return self[:].probe(batch)

    def forward(self, x: Any) -> Outputs:
        """All peers' logits and features for inputs shared by all, or a `PerPeer`."""
        return self.outputs(x, self.peers)

    def outputs(self, x: Any, peers: tuple[int, ...]) -> Outputs:
        """Logits and features of some peers, in this order."""
        memory = self.memory if self.memory is not None else Memory()
        _, whole, owners = memory.wholes.get(id(x), (x, x, peers))
        rows: dict[Group, list[int]] = {}
        for peer in owners:
            group, row = self._place[peer]
            rows.setdefault(group, []).append(row)
        order = {peer: i for i, peer in enumerate(owners)}

        def run(group: Group, keep_buffers: bool) -> Raw:
            own = self._own(whole, [order[group.peers[row]] for row in rows[group]], len(owners))
            return self._run(group, own, rows[group], keep_buffers)

        key = (id(whole), owners, torch.is_grad_enabled(), self.training)
        asked = [group for group in rows if any(group.peers[row] in peers for row in rows[group])]
        outputs = list(memory.recall(key, whole, asked, run))
        held = [group.peers[row] for group in asked for row in rows[group]]
        taps = [name for name, submodules in self.taps.items() if all(peer in submodules for peer in peers)]
        return self._assemble(outputs, [held.index(peer) for peer in peers], taps)

    @staticmethod
    def _own(x: Any, places: list[int], count: int) -> Any:
        """A group's part of the inputs, by the places of its peers among those who are asked."""
        if not isinstance(x, PerPeer):
            return x
        blocks = len(pytree.tree_leaves(x.inputs)[0])
        if count % blocks:
            raise ValueError(f"inputs for {blocks} peers, or blocks of peers, were given to {count} peers")
        places = [place // (count // blocks) for place in places]
        if places == list(range(blocks)):
            return x
        run = slice(places[0], places[-1] + 1)
        index = run if places == list(range(blocks))[run] else tuple(places)
        return PerPeer(
            pytree.tree_map(lambda t: t[on_device(index, t.device) if isinstance(index, tuple) else index], x.inputs)
        )

    def _run(self, group: Group, x: Any, rows: list[int], keep_buffers: bool) -> Raw:
        chosen: dict[str, str] = {}
        for name, submodules in self.taps.items():
            own = {submodules[group.peers[row]] for row in rows if group.peers[row] in submodules}
            if not own:
                continue
            if len(own) > 1:
                raise ValueError(
                    f"feature {name!r}: peers that run as one stack are tapped at {', '.join(sorted(own))}; "
                    "tap the same submodule of each, or use execute='loop'"
                )
            chosen[name] = own.pop()
        self.passes.forward += len(rows)
        self.passes.backward += len(rows) if torch.is_grad_enabled() and not self.fixed else 0
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16"):
            taps = list(dict.fromkeys(chosen.values()))
            logits, features = group.run(x, rows, taps, (keep_buffers or self.fixed) and self.training)
        return full_precision(logits), {name: features[tap] for name, tap in chosen.items()}

    @staticmethod
    def _assemble(outputs: list[Raw], order: list[int], taps: list[str]) -> Outputs:
        def gather(parts: list[Tensor]) -> Feature:
            if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
                each = [one for part in parts for one in part]
                return [each[i] for i in order]
            tensor = parts[0] if len(parts) == 1 else torch.cat(parts)
            if order == list(range(len(tensor))):
                return tensor
            run = slice(order[0], order[-1] + 1)
            return tensor[run] if order == list(range(len(tensor)))[run] else tensor[order]

        logits = gather([z for z, _ in outputs])
        if isinstance(logits, list):
            shapes = sorted({tuple(z.shape) for z in logits})
            raise ValueError(f"peers disagree on the shape of their logits: {shapes}; build them for the same classes")
        return Outputs(logits, {name: gather([features[name] for _, features in outputs]) for name in taps})

    @contextmanager
    def remember(self, active: frozenset[Group] | None = None) -> Iterator[Memory]:
        """Inside, what is computed once for an input is not computed again: for one step, while weights stand."""
        self.memory = Memory(active)
        try:
            yield self.memory
        finally:
            self.memory = None

    # What others may have of it -------------------------------------------------------------------------------------

    @overload
    def share(self, outputs: Tensor) -> Tensor: ...

    @overload
    def share(self, outputs: Feature) -> Feature: ...

    def share(self, outputs: Feature) -> Feature:
        """What students may imitate: logits or a feature, detached. The only source of peer targets."""
        return outputs.detach() if isinstance(outputs, Tensor) else [one.detach() for one in outputs]

    def frozen(self, *, moving: bool = False, batch_statistics: bool = False) -> "Cohort":
        """A copy that nobody trains, in eval mode: a teacher, a past self.

        Args:
            moving: it will `follow` the peers, so it is part of their method's checkpoint.
            batch_statistics: in train mode instead, for good: batch norm takes each batch's own statistics and leaves
                the running ones alone. For averages of weights, which no running statistics fit.
        """
        return self[:].frozen(moving=moving, batch_statistics=batch_statistics)

    @torch.no_grad()
    def follow(self, cohort: "Cohort | View", decay: float = 0.0) -> None:
        """Move a frozen copy towards the peers: parameters = decay * own + (1 - decay) * theirs; buffers are copied.

        A trunk that several peers share moves once.
        """
        if not self.fixed or not self.moving:
            raise ValueError("only a copy that was made by frozen(moving=True) follows its peers")
        states = [cohort.peer_state(peer) for peer in self.peers]
        for leaf in self.leaves():
            each = [states[peer][leaf.name] for peer in leaf.peers]
            theirs = torch.stack(each) if leaf.stacked else each[0]
            if decay and isinstance(leaf.tensor, nn.Parameter):
                leaf.tensor.lerp_(theirs, 1.0 - decay)
            else:
                leaf.tensor.copy_(theirs)

    def _copy(self, peers: Sequence[int]) -> "Cohort":
        groups: list[Group] = []
        order: list[int] = []
        for group in self.parts():
            rows = [row for row, peer in enumerate(group.peers) if peer in peers]
            if rows:
                groups.append(group.take(rows))
                order += [peers.index(group.peers[row]) for row in rows]
        places = iter(order)
        for group in groups:
            group.peers = tuple(next(places) for _ in group.peers)
        copied = Cohort.__new__(Cohort)
        nn.Module.__init__(copied)
        copied.precision = self.precision
        copied._adopt(groups)
        return copied.freeze()

    def freeze(self) -> "Cohort":
        """Make this a frozen cohort: no gradients, eval mode for good."""
        self.requires_grad_(False)
        self.fixed = True
        return self.train()

    def train(self, mode: bool = True) -> "Cohort":
        """As of any module; a frozen cohort stays in the mode it is in, whoever owns it."""
        super().train(self.batch_statistics if self.fixed else mode)
        return self


class View:
    """Some peers of a cohort; it has no parameters of its own."""

    def __init__(self, cohort: Cohort, peers: tuple[int, ...]) -> None:
        self.cohort, self.peers = cohort, peers

    def __call__(self, x: Any) -> Outputs:
        return self.cohort.outputs(x, self.peers)

    def probe(self, batch: Batch) -> Outputs:
        """See `Cohort.probe`."""
        with torch.no_grad(), seeded(self.device, 0):  # dropout takes no numbers from those that are drawn afterwards
            return self(batch.x)

    def __len__(self) -> int:
        return len(self.peers)

    def __getitem__(self, peers: int | slice | Sequence[int]) -> "View":
        chosen = [peers] if isinstance(peers, int) else range(len(self))[peers] if isinstance(peers, slice) else peers
        return self.cohort[[self.peers[i] for i in chosen]]

    @property
    def device(self) -> torch.device:
        return self.cohort.device

    def parts(self) -> list[Group]:
        """The groups that its peers, and maybe others, are executed in."""
        return [group for group in self.cohort.parts() if not set(group.peers).isdisjoint(self.peers)]

    @overload
    def share(self, outputs: Tensor) -> Tensor: ...

    @overload
    def share(self, outputs: Feature) -> Feature: ...

    def share(self, outputs: Feature) -> Feature:
        """See `Cohort.share`."""
        return self.cohort.share(outputs)

    def tap(self, name: str, submodules: str | Sequence[str] | None = None) -> None:
        """See `Cohort.tap`."""
        submodules = submodules or name
        chosen = (submodules,) * len(self) if isinstance(submodules, str) else tuple(submodules)
        if len(chosen) != len(self):
            raise ValueError(f"feature {name!r}: {len(chosen)} submodules for {len(self)} peers")
        self.cohort.taps.setdefault(name, {}).update(zip(self.peers, chosen, strict=True))

    def frozen(self, *, moving: bool = False, batch_statistics: bool = False) -> Cohort:
        """See `Cohort.frozen`."""
        copied = self.cohort._copy(self.peers)
        copied.moving, copied.batch_statistics = moving, batch_statistics
        return copied.train()

    def network(self, peer: int) -> nn.Module:
        """See `Cohort.network`; numbered within the view."""
        return self.cohort.network(self.peers[peer])

    def peer_state(self, peer: int) -> dict[str, Tensor]:
        """See `Cohort.peer_state`; numbered within the view."""
        return self.cohort.peer_state(self.peers[peer])


Peers = Cohort | View
PRECISIONS = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.float32}

__all__ = ["Cohort", "Group", "Outputs", "Passes", "Peers", "PerPeer", "Single", "Stack", "View", "alike"]
