"""The samples of a fleet's steps: labelled and unlabelled ones, views, partners and shards, for every seed."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from codistill.data.augmentations import build_augment
from codistill.data.examples import DataSet, Examples
from codistill.data.loader import Loader
from codistill.data.split import Parts, split
from codistill.randomness import derive
from codistill.run import Run
from codistill.training.slots import training_seed

Where = tuple[int, int, int]  # epoch, step, stream
Drawn = tuple[Tensor, Tensor, Tensor]  # inputs, labels, sample numbers


class Streams:
    """The batches of every seed of a fleet, and of every shard of its data where peers have shards of their own.

    A *row* is one seed, or one shard of one seed: ``rows[i]`` is the i-th of the leading dim of everything here.
    """

    def __init__(self, run: Run, seeds: Sequence[int], dataset: DataSet, device: torch.device, shards: int) -> None:
        self.seeds, self.shards, self.task = list(seeds), shards, dataset.task
        self._step: tuple[int, int] | None = None
        self._drawn: dict[tuple[int, int], Drawn] = {}  # of this step, by stream and view
        self.dtype = torch.float64 if run.precision == "float64" else torch.float32
        valid = int(run.valid) if run.valid >= 1 else run.valid
        self.parts: list[Parts] = [split(dataset, seed, labels=run.labels, valid=valid) for seed in self.seeds]
        self._build = partial(Loader, augment=build_augment(run.augment), mean=dataset.mean, std=dataset.std)
        training_seeds = [training_seed(run.replace(seed=seed)) for seed in self.seeds]
        pieces = [
            (derive(seed, "shard", number) if number else seed, piece)  # an order of its own for each
            for seed, p in zip(training_seeds, self.parts, strict=True)
            for number, piece in enumerate(deal_out(p.train, shards))
        ]
        readers = len(pieces) + (len(self.seeds) if run.unlabelled else 0)
        self.loaders = [
            self._loader(piece.to(device).shared(readers), run.batch, seed, run.drop_last) for seed, piece in pieces
        ]
        self.steps = min(loader.steps for loader in self.loaders)
        self.extra = self._unlabelled(run, device, training_seeds) if run.unlabelled else []
        self.samples = sum(max((len(row.examples) for row in kind), default=0) for kind in (self.loaders, self.extra))

    def _loader(self, examples: Examples, batch: int, seed: int, drop_last: bool) -> Loader:
        if batch > len(examples):
            raise ValueError(
                f"batch={batch}: there are {len(examples)} examples to draw it from: "
                f"set batch to {len(examples)} or less (--batch {len(examples)})"
            )
        return self._build(examples, batch=batch, seed=seed, drop_last=drop_last)

    def _unlabelled(self, run: Run, device: torch.device, training_seeds: list[int]) -> list[Loader]:
        if len(self.parts[0].unlabelled) < run.unlabelled:
            raise ValueError(
                f"unlabelled={run.unlabelled}: only {len(self.parts[0].unlabelled)} examples are left without a label; "
                f"lower it, or labels={run.labels}"
            )
        if self.shards > 1:
            raise ValueError(f"unlabelled={run.unlabelled} and shards=True do not go together: choose one")
        return [
            self._loader(examples.shared(2 * len(self.seeds)), run.unlabelled, derive(seed, "unlabelled"), True)
            for seed, examples in zip(
                training_seeds, (parts.unlabelled.to(device) for parts in self.parts), strict=True
            )
        ]

    def draw(self, where: Where, view: int = 0) -> Drawn:
        """Inputs, labels and sample numbers ``[rows, B, ...]``: a pure function of the seeds and where it is.

        Unlabelled samples follow the labelled ones, with label -1 and numbers after theirs. What a step draws is drawn
        once, whoever asks for it.
        """
        epoch, step, stream = where
        if (epoch, step) != self._step:
            self._step, self._drawn = (epoch, step), {}
        if (stream, view) not in self._drawn:
            self._drawn[stream, view] = self._draw(where, view)
        return self._drawn[stream, view]

    def partners(self, where: Where) -> Tensor:
        """Inputs ``[rows, B, ...]`` of other samples of the same classes."""
        return self.cast(torch.stack([loader.partners(*where) for loader in self.loaders]))

    def _draw(self, where: Where, view: int) -> Drawn:
        epoch, step, stream = where
        each = [loader.batch(epoch, step, stream, view) for loader in self.loaders]
        if self.extra:
            place = divmod(epoch * self.steps + step, self.extra[0].steps)
            more = [loader.batch(*place, stream, view) for loader in self.extra]
            each = [
                (torch.cat([x, u]), torch.cat([y, v]), torch.cat([index, j + len(loader.examples)]))
                for (x, y, index), (u, v, j), loader in zip(each, more, self.loaders, strict=True)
            ]
        x, y, index = (torch.stack(kind) for kind in zip(*each, strict=True))
        return self.cast(x), y, index

    def close(self) -> None:
        """End the processes that read ahead, where there are any."""
        for loader in (*self.loaders, *self.extra):
            loader.close()

    def cast(self, x: Tensor) -> Tensor:
        """Inputs in the run's precision; token ids stay what they are."""
        return x.to(self.dtype) if x.is_floating_point() else x


def deal_out(examples: Examples, shards: int) -> list[Examples]:
    """Disjoint parts of the same size, every class in its share."""
    if shards == 1:
        return [examples]
    order = examples.y.argsort(stable=True)
    return [examples.take(order[shard::shards][: len(examples) // shards]) for shard in range(shards)]
