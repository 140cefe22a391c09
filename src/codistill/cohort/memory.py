"""What a cohort has computed in this step, so that methods which share a forward pass pay for one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from codistill.cohort.groups import Group, Raw

Key = tuple[Any, ...]


@dataclass
class Entry:
    """One input and what every group made of it."""

    x: Any  # kept, so that its id stays its own
    run: Callable[[Group, bool], Raw]  # (group, keep_buffers)
    outputs: dict[Group, Raw]


@dataclass
class Memory:
    """The outputs of one step, by input.

    Attributes:
        active: the groups whose passes carry gradients (all where None); the others run without, and leave
            their batch statistics alone.
        learning: the groups whose gradients are wanted now (all where None); the others' outputs are given detached,
            so that a backward pass does not walk, and free, what their own turn will need.
    """

    active: frozenset[Group] | None = None
    learning: frozenset[Group] | None = None
    entries: dict[Key, Entry] = field(default_factory=dict)
    wholes: dict[int, tuple[Any, Any, tuple[int, ...]]] = field(default_factory=dict)

    def know(self, part: Any, whole: Any, peers: Iterable[int]) -> None:
        """Say that an input is these peers' part of a larger one."""
        self.wholes[id(part)] = (part, whole, tuple(peers))

    def has(self, x: Any) -> bool:
        """Whether outputs for an input are known."""
        return any(key[0] == id(x) for key in self.entries)

    def recall(self, key: Key, x: Any, groups: Iterable[Group], run: Callable[[Group, bool], Raw]) -> Iterator[Raw]:
        """The outputs of these groups for an input, computed where they are not known yet."""
        entry = self.entries.setdefault(key, Entry(x, run, {}))
        for group in groups:
            if group not in entry.outputs:
                with torch.set_grad_enabled(torch.is_grad_enabled() and (self.active is None or group in self.active)):
                    entry.outputs[group] = run(group, not torch.is_grad_enabled())
            output = entry.outputs[group]
            yield output if self.learning is None or group in self.learning else _detached(output)

    @torch.no_grad()
    def refresh(self, groups: Iterable[Group]) -> None:
        """Compute again what these groups made of every input, with their new weights and without gradient."""
        for entry in self.entries.values():
            for group in groups:
                if group in entry.outputs:
                    entry.outputs[group] = entry.run(group, True)


def _detached(output: Raw) -> Raw:
    logits, features = output
    return logits.detach(), {name: feature.detach() for name, feature in features.items()}
