"""What a cohort has computed in this step, so that methods which share a forward pass pay for one."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from codistill.batch import Inputs
from codistill.cohort.groups import Group, Raw
from codistill.exchange import Largest

Carries = Callable[[Group], bool]  # whether a group's pass carries gradients


@dataclass(frozen=True)
class Forward:
    """How groups compute their outputs of one input.

    Attributes:
        run: one group's, (group, keep_buffers).
        whole: puts together what several processes have computed; None where there is one.
    """

    run: Callable[[Group, bool], Raw]
    whole: Callable[[dict[Group, Raw]], dict[Group, Raw]] | None = None

    def __call__(self, groups: Iterable[Group], carries: Carries, keep_buffers: bool = False) -> dict[Group, Raw]:
        """The outputs of some groups; a pass without gradients keeps buffers as they are."""
        raws: dict[Group, Raw] = {}
        for group in groups:
            with torch.set_grad_enabled(torch.is_grad_enabled() and carries(group)):
                raws[group] = self.run(group, keep_buffers or not torch.is_grad_enabled())
        return self.whole(raws) if raws and self.whole is not None else raws


@dataclass
class Entry:
    """What every group made of one input, and how to compute it again."""

    forward: Forward
    outputs: dict[Group, Raw] = field(default_factory=dict)


@dataclass
class StepCache:
    """The outputs of one step, by the handle of their inputs.

    Attributes:
        batch: the handle of what the step learns from; its owners are peers of the cohort that this is the cache of.
            None for the cohorts inside methods, whose peers are others than a handle speaks of.
        active: the groups whose passes carry gradients (all where None); the others run without, and leave
            their batch statistics alone.
        learning: the groups whose gradients are wanted now (all where None); the others' outputs are given detached,
            so that a backward pass does not walk, and free, what their own turn will need.
        told: how much of the logits crosses between processes; None: all.
    """

    batch: Inputs | None = None
    active: frozenset[Group] | None = None
    learning: frozenset[Group] | None = None
    told: Largest | None = None
    entries: dict[Inputs, dict[Hashable, Entry]] = field(default_factory=dict)

    def source(self, x: Inputs, peers: tuple[int, ...]) -> tuple[Inputs, tuple[int, ...]]:
        """The handle whose pass answers for these inputs, and the peers that it is computed for."""
        if self.batch is None:
            return x, peers
        whole = x if x.whole is None else x.whole
        return whole, whole.owners or peers

    def learns(self, group: Group) -> bool:
        """Whether a group's gradients are wanted now."""
        return all(groups is None or group in groups for groups in (self.active, self.learning))

    def recall(self, x: Inputs, key: Hashable, groups: Sequence[Group], forward: Forward) -> list[Raw]:
        """The outputs of these groups for a handle's inputs, computed where they are not known yet."""
        entry = self.entries.setdefault(x, {}).setdefault(key, Entry(forward))
        entry.outputs |= forward([group for group in groups if group not in entry.outputs], self._is_active)
        outputs = [(group, entry.outputs[group]) for group in groups]
        return [raw if self.learning is None or group in self.learning else _detached(raw) for group, raw in outputs]

    def apart(self, groups: Sequence[Group], forward: Forward) -> list[Raw]:
        """A pass of what is no handle: nobody shares it, and it leaves buffers as they are."""
        return list(forward(groups, self.learns, keep_buffers=True).values())

    @torch.no_grad()
    def refresh(self, groups: Iterable[Group]) -> None:
        """Compute again what these groups made of every input, with their new weights and without gradient."""
        chosen = list(groups)
        for entry in (entry for entries in self.entries.values() for entry in entries.values()):
            entry.outputs |= entry.forward([group for group in chosen if group in entry.outputs], self._is_active)

    def _is_active(self, group: Group) -> bool:
        return self.active is None or group in self.active


def _detached(output: Raw) -> Raw:
    logits, features = output
    return logits.detach(), {tap: feature.detach() for tap, feature in features.items()}
