"""Batches of examples that live on a device as tensors: any batch, at once, in any order."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from codistill.data.augment import Augment
from codistill.data.examples import Examples, check_statistics
from codistill.randomness import generator


class Loader:
    """Shuffled, augmented and normalised batches, each a pure function of (seed, epoch, step, stream).

    A *stream* is an order of its own over the same examples, for peers that each see their own batches.
    Nothing waits on the device: an epoch's order is moved there once.

    Args:
        examples: Where they are is where the batches are.
        batch: Examples in each.
        seed: Of the order and the augmentation.
        augment: As `codistill.data.augment.build_augment` makes it; acts before normalisation.
        mean: Per channel, on the 0..1 scale; empty for token ids.
        std: As `mean`.
        drop_last: Leave out the examples that fill no whole batch.

    Raises:
        ValueError: there is no batch, or the last one would hold a single example.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch: int,
        seed: int,
        augment: Augment,
        mean: Sequence[float],
        std: Sequence[float],
        drop_last: bool = False,
    ) -> None:
        whole, last = divmod(len(examples), _positive(batch))
        self.steps = whole if drop_last or not last else whole + 1
        if not self.steps:
            raise ValueError(f"batch={batch}: {len(examples)} examples make no batch; lower it or turn drop_last off")
        if last == 1 and not drop_last:
            raise ValueError(
                f"batch={batch}: the last of {len(examples)} examples would be a batch of its own, and "
                "batch norm needs two; set drop_last=True or change batch"
            )
        self.examples = examples
        self.size = batch
        self.seed = seed
        self._augment = augment
        self._statistics = _statistics(examples, mean, std)
        self._classes: tuple[Tensor, Tensor, Tensor] | None = None  # examples by class, starts, sizes
        self._orders: dict[int, tuple[int, Tensor]] = {}  # stream -> (epoch, order)

    def indices(self, epoch: int, step: int, stream: int = 0) -> Tensor:
        """Which examples a batch holds, ``[B]``.

        Raises:
            IndexError: an epoch has no such step.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step={step}: an epoch has {self.steps} steps, counted from 0")
        return self._order(epoch, stream)[step * self.size : (step + 1) * self.size]

    def batch(self, epoch: int, step: int, stream: int = 0, view: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs ``[B, C, H, W]`` float32 (token ids as they are), labels ``[B]`` and indices ``[B]``.

        Another ``view`` holds the same examples, augmented anew.
        """
        index = self.indices(epoch, step, stream)
        purpose = (epoch, step, stream, view) if view else (epoch, step, stream)
        return self._inputs(index, "augment", *purpose), self.examples.y[index], index

    def partners(self, epoch: int, step: int, stream: int = 0) -> Tensor:
        """For each example of a batch another one of its class, drawn uniformly (it may be itself): inputs."""
        y = self.examples.y[self.indices(epoch, step, stream)]
        if self._classes is None:
            order = self.examples.y.argsort(stable=True)
            sizes = torch.bincount(self.examples.y)
            self._classes = order, sizes.cumsum(0) - sizes, sizes
        order, starts, sizes = self._classes
        draw = torch.rand(len(y), generator=generator(self.seed, "partner", epoch, step, stream)).to(y.device)
        index = order[starts[y] + (draw * sizes[y]).long()]
        return self._inputs(index, "partner augment", epoch, step, stream)

    def _inputs(self, index: Tensor, *purpose: int | str) -> Tensor:
        return normalise(self._augment(self.examples.x[index], generator(self.seed, *purpose)), *self._statistics)

    def _order(self, epoch: int, stream: int) -> Tensor:
        known, order = self._orders.get(stream, (None, None))
        if order is None or known != epoch:
            order = torch.randperm(len(self.examples), generator=generator(self.seed, "order", epoch, stream))
            order = order.to(self.examples.x.device, non_blocking=True)
            self._orders[stream] = (epoch, order)
        return order


def plain(
    examples: Examples, mean: Sequence[float], std: Sequence[float], batch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """All examples once, in order, without augmentation: inputs as `Loader.batch` gives them, and labels."""
    statistics = _statistics(examples, mean, std)
    for first in range(0, len(examples), _positive(batch)):
        part = slice(first, first + batch)
        yield normalise(examples.x[part], *statistics), examples.y[part]


def normalise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``(x - mean) / std`` in float32, bytes brought to the 0..1 scale first; token ids stay as they are.

    Args:
        x: ``[B, C, H, W]`` uint8 or floating, or ``[B, T]`` int64.
        mean: ``[C, 1, 1]``.
        std: ``[C, 1, 1]``.
    """
    if x.dtype == torch.uint8:
        x = x.float().div_(255)
    return (x.float() - mean).div_(std) if x.is_floating_point() else x


def _statistics(examples: Examples, mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    check_statistics(examples, mean, std)
    device = examples.x.device
    mean_C11, std_C11 = (torch.tensor(values, device=device).view(-1, 1, 1) for values in (mean, std))
    return mean_C11, std_C11


def _positive(batch: int) -> int:
    if batch < 1:
        raise ValueError(f"batch={batch}: give 1 or more")
    return batch
