"""Copies of the peers that follow them: averages over their past."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from codistill.cohort import Peers


class Steps(nn.Module):
    """A count that is part of the checkpoint. It stays on the CPU, so that reading it never waits for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.done = nn.Buffer(torch.zeros((), dtype=torch.int64))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        return self

    def forward(self) -> int:
        """One more: how many there were before."""
        before = int(self.done)
        self.done.add_(1)
        return before


class Averages(nn.Module):
    """Every peer's average over its past: theta' = d theta' + (1 - d) theta after each step.

    d = min(1 - 1/(t + 1), decay) in step t = 0, 1, ..., the true mean until the exponential one is better, as in the
    mean teacher's and MMT's code. Averages predict in train mode, as there: no running statistics fit them.
    """

    def __init__(self, peers: Peers, decay: float) -> None:
        super().__init__()
        self.cohort, self.decay, self.steps = peers.frozen(moving=True, batch_statistics=True), decay, Steps()

    def forward(self, x: Any) -> Tensor:
        """Logits ``[P, B, C]``, detached."""
        with torch.no_grad():
            logits: Tensor = self.cohort(x).logits
        return logits

    def follow(self, peers: Peers) -> None:
        """After a step."""
        self.cohort.follow(peers, decay=min(1.0 - 1.0 / (self.steps() + 1), self.decay))
