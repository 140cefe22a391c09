"""Copies of the peers that follow them: averages over their past."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from codistill.cohort import Cohort, Outputs, Peers


class Steps(nn.Module):
    """A count that is part of the checkpoint. It stays on the CPU, so that reading it never waits for a device."""

    done: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        return self

    def forward(self) -> int:
        """One more: how many there were before."""
        before = int(self.done)
        self.done += 1
        return before


class Averages(nn.Module):
    """Every peer's average over its past: theta' = d theta' + (1 - d) theta after each step.

    d = min(1 - 1/(t + 1), decay) in step t = 0, 1, ..., the true mean until the exponential one is better, as in the
    mean teacher's and MMT's code. Averages predict in train mode, as there: no running statistics fit them.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.steps = Steps()
        self.cohort: Cohort | None = None

    def start(self, peers: Peers) -> None:
        """Begin at what the peers are now."""
        self.cohort = peers.frozen(moving=True, batch_statistics=True)

    def forward(self, x: Any) -> Tensor:
        """Logits ``[P, B, C]``, detached."""
        with torch.no_grad():
            outputs: Outputs = started(self.cohort)(x)
        return outputs.logits

    def follow(self, peers: Peers) -> None:
        """After a step."""
        started(self.cohort).follow(peers, decay=min(1.0 - 1.0 / (self.steps() + 1), self.decay))


def started(cohort: Cohort | None) -> Cohort:
    """The copies.

    Raises:
        ValueError: there are none yet.
    """
    if cohort is None:
        raise ValueError(
            "this method keeps copies of the peers: call method.prepare(cohort, batch) before the first step"
        )
    return cohort
