"""Which examples the batches of a training run hold."""

import torch
from torch import Tensor

from codistill.randomness import generator


class Order:
    """The examples of every batch, each a pure function of (seed, epoch, step, stream), by number ``[B]``.

    Args:
        y: Labels ``[N]``; their device is where the numbers are.
        batch: Examples in each batch.
        steps: Batches in an epoch.
        seed: Of everything random.
    """

    def __init__(self, y: Tensor, *, batch: int, steps: int, seed: int) -> None:
        self.y, self.batch, self.steps, self.seed = y, batch, steps, seed
        self._classes: tuple[Tensor, Tensor, Tensor] | None = None  # examples by class, starts, sizes
        self._orders: dict[tuple[int, int], Tensor] = {}  # by epoch and stream

    def indices(self, epoch: int, step: int, stream: int = 0) -> Tensor:
        """Which examples a batch holds.

        Raises:
            IndexError: an epoch has no such step.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step={step}: an epoch has {self.steps} steps, counted from 0")
        return self._order(epoch, stream)[step * self.batch : (step + 1) * self.batch]

    def partners(self, epoch: int, step: int, stream: int = 0) -> Tensor:
        """For each example of a batch another one of its class, drawn uniformly (it may be itself)."""
        y = self.y[self.indices(epoch, step, stream)]
        if self._classes is None:
            sizes = torch.bincount(self.y)
            self._classes = self.y.argsort(stable=True), sizes.cumsum(0) - sizes, sizes
        order, starts, sizes = self._classes
        draw = torch.rand(len(y), generator=generator(self.seed, "partner", epoch, step, stream)).to(y.device)
        return order[starts[y] + (draw * sizes[y]).long()]

    def _order(self, epoch: int, stream: int) -> Tensor:
        if (epoch, stream) not in self._orders:
            order = torch.randperm(len(self.y), generator=generator(self.seed, "order", epoch, stream))
            for key in [key for key in self._orders if key[1] == stream and key[0] != epoch - 1]:
                del self._orders[key]  # the epoch before is still in use where workers read ahead
            self._orders[epoch, stream] = order.to(self.y.device, non_blocking=True)
        return self._orders[epoch, stream]
