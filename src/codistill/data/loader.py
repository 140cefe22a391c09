"""Batches of examples, which are tensors on a device or images in files: any batch, in any order."""

from collections.abc import Generator, Sequence
from functools import partial

import torch
from torch import Tensor

from codistill.checks import whole
from codistill.data.augmentations import Augment
from codistill.data.batch_order import Order
from codistill.data.examples import Examples, check_statistics
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import LazyImages
from codistill.data.images.workers import Ahead, Place, Request, in_order
from codistill.randomness import generator

SAMPLE, PARTNER = "augment", "partner augment"  # roles: they seed the augmentation, and tell what is read


class Loader:
    """Shuffled, augmented and normalised batches, each a pure function of (seed, epoch, step, stream).

    A *stream* is a separate order over the same examples, for peers that each see their own batches.
    Nothing waits on the device: an epoch's order is moved there once. Images in files are read ahead by worker
    processes, in the order in which batches are requested; whatever that order is, and however many workers there
    are, the batches are the same.

    Args:
        examples: Their device is the batches'.
        batch: Examples in each batch.
        seed: Of the order and the augmentation.
        augment: From `codistill.data.augmentations.build_augment`; acts before normalisation.
        mean: Per channel, on the 0..1 scale; empty for token ids.
        std: As `mean`.
        drop_last: Leave out the examples that do not fill a batch.

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
        full, last = divmod(len(examples), whole("batch", batch))
        self.steps = full if drop_last or not last else full + 1
        if not self.steps:
            raise ValueError(f"batch={batch}: {len(examples)} examples make no batch; lower it or turn drop_last off")
        if last == 1 and not drop_last:
            alone = f"the last of {len(examples)} examples would be a batch by itself, and batch norm needs two"
            raise ValueError(f"batch={batch}: {alone}; set drop_last=True or change batch")
        self.examples, self.seed, self._augment = examples, seed, augment
        self._statistics = _statistics(examples, mean, std)
        x, self._device = examples.x, examples.x.device
        y = examples.y.cpu() if isinstance(x, LazyImages) else examples.y  # file numbers are needed in memory
        self._order = Order(y, batch=batch, steps=self.steps, seed=seed)
        self._ahead = Ahead(x, partial(_request, self._order, x.cut), self.steps) if isinstance(x, LazyImages) else None

    def batch(self, epoch: int, step: int, stream: int = 0, view: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs ``[B, C, H, W]`` float32 (token ids as they are), labels ``[B]`` and indices ``[B]``.

        Another ``view`` holds the same examples with other augmentation.

        Raises:
            IndexError: an epoch has no such step.
        """
        index = self._order.indices(epoch, step, stream)
        x = self._inputs(index, (epoch, step, (SAMPLE, stream, view)))
        y, index = (t.to(self._device, non_blocking=True) for t in (self._order.y[index], index))
        return x, y, index

    def partners(self, epoch: int, step: int, stream: int = 0) -> Tensor:
        """For each example of a batch another one of its class, drawn uniformly (it may be itself): inputs."""
        return self._inputs(self._order.partners(epoch, step, stream), (epoch, step, (PARTNER, stream, 0)))

    def close(self) -> None:
        """End the processes that read ahead, where there are any; a later batch starts them again."""
        if self._ahead is not None:
            self._ahead.close()

    def _inputs(self, index: Tensor, place: Place) -> Tensor:
        epoch, step, (role, stream, view) = place
        purpose = (role, epoch, step, stream, view) if view else (role, epoch, step, stream)
        x = self.examples.x[index] if self._ahead is None else self._ahead.read(place)
        x = self._augment(x.to(self._device, non_blocking=True), generator(self.seed, *purpose))
        return normalise(x, *self._statistics)


def _request(order: Order, cut: Cut, place: Place) -> Request:
    """The images of a batch, and the random numbers of their crops.

    Holds no loader, which would then have to wait for the garbage collector, and its processes with it.
    """
    epoch, step, (role, stream, view) = place
    index = (order.indices if role == SAMPLE else order.partners)(epoch, step, stream)
    return index, cut.draws(len(index), generator(order.seed, role, "cut", epoch, step, stream, view))


def plain(
    examples: Examples, mean: Sequence[float], std: Sequence[float], batch: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """All examples once, in order, without augmentation: inputs as `Loader.batch` gives them, and labels."""
    statistics = _statistics(examples, mean, std)
    slices = [slice(first, first + batch) for first in range(0, len(examples), whole("batch", batch))]
    x = examples.x
    inputs = in_order(x, batch) if isinstance(x, LazyImages) else map(x.__getitem__, slices)
    for images, rows in zip(inputs, slices, strict=True):
        yield normalise(images.to(x.device, non_blocking=True), *statistics), examples.y[rows]


def normalise(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``(x - mean) / std`` in float32, bytes scaled to 0..1 first; token ids stay as they are.

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
