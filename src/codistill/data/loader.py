"""Batches of examples, which live on a device as tensors or in files as pictures: any batch, in any order."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from codistill.data.augmentations import Augment
from codistill.data.cut import Cut
from codistill.data.examples import Examples, check_statistics
from codistill.data.order import Order
from codistill.data.pictures import Pictures
from codistill.data.workers import Ahead, Ask, Place, in_order
from codistill.randomness import generator

OWN, PARTNER = "augment", "partner augment"  # what is drawn for, and what pictures are read for


class Loader:
    """Shuffled, augmented and normalised batches, each a pure function of (seed, epoch, step, stream).

    A *stream* is an order of its own over the same examples, for peers that each see their own batches.
    Nothing waits on the device: an epoch's order is moved there once. Pictures in files are read ahead by worker
    processes, in the order in which batches are asked for; whatever that order is, and however many workers there
    are, the batches are the same.

    Args:
        examples: Where they are is where the batches are.
        batch: Examples in each.
        seed: Of the order and the augmentation.
        augment: As `codistill.data.augmentations.build_augment` makes it; acts before normalisation.
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
        self._device = examples.x.device
        x = examples.x
        y = examples.y.cpu() if isinstance(x, Pictures) else examples.y  # files are found by numbers in memory
        self._order = Order(y, batch=batch, steps=self.steps, seed=seed)
        self._ahead = Ahead(x, _asks(self._order, x.cut), self.steps) if isinstance(x, Pictures) else None

    def indices(self, epoch: int, step: int, stream: int = 0) -> Tensor:
        """Which examples a batch holds, ``[B]``.

        Raises:
            IndexError: an epoch has no such step.
        """
        return self._order.indices(epoch, step, stream).to(self._device, non_blocking=True)

    def batch(self, epoch: int, step: int, stream: int = 0, view: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs ``[B, C, H, W]`` float32 (token ids as they are), labels ``[B]`` and indices ``[B]``.

        Another ``view`` holds the same examples, augmented anew.
        """
        index = self._order.indices(epoch, step, stream)
        x = self._inputs(index, (epoch, step, (OWN, stream, view)))
        y, index = (t.to(self._device, non_blocking=True) for t in (self._order.y[index], index))
        return x, y, index

    def partners(self, epoch: int, step: int, stream: int = 0) -> Tensor:
        """For each example of a batch another one of its class, drawn uniformly (it may be itself): inputs."""
        return self._inputs(self._order.partners(epoch, step, stream), (epoch, step, (PARTNER, stream, 0)))

    def close(self) -> None:
        """End the processes that read ahead, where there are any; a later batch starts them anew."""
        if self._ahead is not None:
            self._ahead.close()

    def _inputs(self, index: Tensor, place: Place) -> Tensor:
        epoch, step, (what, stream, view) = place
        purpose = (what, epoch, step, stream, view) if view else (what, epoch, step, stream)
        x = self.examples.x[index] if self._ahead is None else self._ahead.read(place)
        x = self._augment(x.to(self._device, non_blocking=True), generator(self.seed, *purpose))
        return normalise(x, *self._statistics)


def _asks(order: Order, cut: Cut) -> Callable[[Place], Ask]:
    """Which pictures a batch is made of, and what is random in their cuts.

    Without the loader, which would have to wait for the garbage collector, and its processes with it.
    """

    def ask(place: Place) -> Ask:
        epoch, step, (what, stream, view) = place
        index = (order.indices if what == OWN else order.partners)(epoch, step, stream)
        return index, cut.draws(len(index), generator(order.seed, what, "cut", epoch, step, stream, view))

    return ask


def plain(
    examples: Examples, mean: Sequence[float], std: Sequence[float], batch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """All examples once, in order, without augmentation: inputs as `Loader.batch` gives them, and labels."""
    statistics = _statistics(examples, mean, std)
    parts = [slice(first, first + batch) for first in range(0, len(examples), _positive(batch))]
    x = examples.x
    inputs = in_order(x, batch) if isinstance(x, Pictures) else map(x.__getitem__, parts)
    for images, part in zip(inputs, parts, strict=True):
        yield normalise(images.to(x.device, non_blocking=True), *statistics), examples.y[part]


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
