"""What a cohort has computed in this step, so that methods which share a forward pass pay for one."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field

import torch

from codistill.batch import Inputs
from codistill.cohort.groups import Group, Raw

Run = Callable[[Group, bool], Raw]  # (group, keep_buffers)


@dataclass
class Entry:
    """What every group made of one input, and how to compute it again."""

    run: Run
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
    """

    batch: Inputs | None = None
    active: frozenset[Group] | None = None
    learning: frozenset[Group] | None = None
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

    def recall(self, x: Inputs, key: Hashable, groups: Iterable[Group], run: Run) -> Iterator[Raw]:
        """The outputs of these groups for a handle's inputs, computed where they are not known yet."""
        entry = self.entries.setdefault(x, {}).setdefault(key, Entry(run))
        for group in groups:
            if group not in entry.outputs:
                with _gradients(self.active is None or group in self.active):
                    entry.outputs[group] = run(group, not torch.is_grad_enabled())
            output = entry.outputs[group]
            yield output if self.learning is None or group in self.learning else _detached(output)

    def apart(self, groups: Iterable[Group], run: Run) -> Iterator[Raw]:
        """A pass of what is no handle: nobody shares it, and it leaves buffers as they are."""
        for group in groups:
            with _gradients(self.learns(group)):
                yield run(group, True)

    @torch.no_grad()
    def refresh(self, groups: Iterable[Group]) -> None:
        """Compute again what these groups made of every input, with their new weights and without gradient."""
        chosen = list(groups)
        for entry in (entry for entries in self.entries.values() for entry in entries.values()):
            for group in chosen:
                if group in entry.outputs:
                    entry.outputs[group] = entry.run(group, True)


def _gradients(wanted: bool) -> torch.set_grad_enabled:
    return torch.set_grad_enabled(wanted and torch.is_grad_enabled())


def _detached(output: Raw) -> Raw:
    logits, features = output
    return logits.detach(), {tap: feature.detach() for tap, feature in features.items()}
