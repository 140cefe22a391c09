"""The samples of a fleet's steps: labelled and unlabelled ones, views, partners and shards, for every seed."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from codistill.data.augmentations import build_augment
from codistill.data.examples import DataSet, Examples
from codistill.data.loader import Loader
from codistill.data.shards import Labels, deal_out
from codistill.data.split import Parts, split, strata_of
from codistill.randomness import derive
from codistill.run import Run

Where = tuple[int, int, int]  # epoch, step, stream
Drawn = tuple[Tensor, Tensor, Tensor]  # inputs, labels, sample numbers
LIKE = ("none", "equal")  # shards of one size


class Streams:
    """The batches of every seed of a fleet, and of every shard of its data where peers have shards of their own.

    A *row* is one seed, or one shard of one seed: ``rows[i]`` is the i-th of the leading dim of everything here. Rows
    may hold unlike numbers of examples: each goes round at its own pace, and an epoch is as long as with equal shards.

    Attributes:
        steps: of an epoch.
        total: of the whole training.
        epochs: of the whole training; the last one may be shorter.
        samples: how many numbers samples may have.
        first: the number of the first sample without a label.
        told: of each sample without a label, whether it counts, ``[N]`` booleans; None: all do.
    """

    def __init__(
        self,
        run: Run,
        seeds: Sequence[int],
        dataset: DataSet,
        device: torch.device,
        shards: int,
        silo: int | None = None,
    ) -> None:
        """``silo``: the peer whose labelled examples the data set has, and nobody else's."""
        self.seeds, self.shards, self.task = list(seeds), 1 if silo is not None else shards, dataset.task
        self.told: Tensor | None = None
        self._step: tuple[int, int] | None = None
        self._drawn: dict[tuple[int, int], Drawn] = {}  # of this step, by stream and view
        self.dtype = torch.float64 if run.precision == "float64" else torch.float32
        valid = int(run.valid) if run.valid >= 1 else run.valid
        self.parts: list[Parts] = [
            split(dataset, seed, labels=run.labels, valid=valid, noise=run.noise) for seed in self.seeds
        ]
        self._build = partial(Loader, augment=build_augment(run.augment), mean=dataset.mean, std=dataset.std)
        training_seeds = [training_seed(run.replace(seed=seed)) for seed in self.seeds]
        pieces = [
            (derive(own, "shard", number) if number else own, piece)  # an order of its own for each
            for seed, own, p in zip(self.seeds, training_seeds, self.parts, strict=True)
            for number, piece in _numbered(run, dataset, p.train, seed, silo)
        ]
        drop_last = run.drop_last or run.shards.name not in LIKE  # batches of all rows have one size
        readers = len(pieces) + (len(self.seeds) if run.unlabelled else 0)
        self.loaders = [
            self._loader(piece.to(device).shared(readers), run.batch, seed, drop_last) for seed, piece in pieces
        ]
        self.steps = self._epoch(run)
        self.total = run.steps or self.steps * run.epochs
        self.epochs = -(-self.total // self.steps)
        self.extra = self._unlabelled(run, device, training_seeds) if run.unlabelled else []
        self.first = max(len(loader.examples) for loader in self.loaders)
        self.samples = self.first + max((len(loader.examples) for loader in self.extra), default=0)

    def _epoch(self, run: Run) -> int:
        """The steps of an epoch."""
        if run.steps is not None:
            return -(-run.steps // run.epochs)
        if run.shards.name in LIKE:
            return self.loaders[0].steps
        return len(self.parts[0].train) // run.peers // run.batch

    def _loader(self, examples: Examples, batch: int, seed: int, drop_last: bool) -> Loader:
        if batch > len(examples):
            raise ValueError(
                f"batch={batch}: there are {len(examples)} examples to draw it from: "
                f"set batch to {len(examples)} or less (--batch {len(examples)})"
            )
        return self._build(examples, batch=batch, seed=seed, drop_last=drop_last)

    def _unlabelled(self, run: Run, device: torch.device, training_seeds: list[int]) -> list[Loader]:
        """Of each seed, the examples without a label, which all peers see."""
        left, labelled = len(self.parts[0].unlabelled), len(self.parts[0].train)
        if not left:
            raise ValueError(
                f"unlabelled={run.unlabelled}: no example is left without a label: set labels, to less than {labelled}"
            )
        if left < run.unlabelled:
            raise ValueError(
                f"unlabelled={run.unlabelled}: only {left} examples are left without a label; lower it, or "
                f"labels={run.labels}"
            )
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

    def counted(self, index: Tensor) -> Tensor | None:
        """Which of the samples of these numbers count, in the form of the numbers; None where all do."""
        if self.told is None:
            return None
        return self.told[(index - self.first).clamp(min=0)] | (index < self.first)

    def partners(self, where: Where) -> Tensor:
        """Inputs ``[rows, B, ...]`` of other samples of the same classes."""
        _, _, stream = where
        return self.cast(torch.stack([loader.partners(*self._place(loader, where), stream) for loader in self.loaders]))

    def _draw(self, where: Where, view: int) -> Drawn:
        _, _, stream = where
        each = [loader.batch(*self._place(loader, where), stream, view) for loader in self.loaders]
        if self.extra:
            common = [loader.batch(*self._place(loader, where), stream, view) for loader in self.extra]
            each = [
                (torch.cat([x, u]), torch.cat([y, v]), torch.cat([index, j + self.first]))
                for row, (x, y, index) in enumerate(each)
                for u, v, j in [common[row // self.shards]]
            ]
        x, y, index = (torch.stack(kind) if len(kind) > 1 else kind[0][None] for kind in zip(*each, strict=True))
        return self.cast(x), y, index

    def _place(self, loader: Loader, where: Where) -> tuple[int, int]:
        """Epoch and step of a loader, which goes round at its own pace."""
        epoch, step, _ = where
        return divmod(epoch * self.steps + step, loader.steps)

    def close(self) -> None:
        """End the processes that read ahead, where there are any."""
        for loader in (*self.loaders, *self.extra):
            loader.close()

    def cast(self, x: Tensor) -> Tensor:
        """Inputs in the run's precision; token ids stay what they are."""
        return x.to(self.dtype) if x.is_floating_point() else x


def _numbered(run: Run, dataset: DataSet, train: Examples, seed: int, silo: int | None) -> list[tuple[int, Examples]]:
    """The labelled examples of each shard and its number; a silo has those of its own alone."""
    return list(enumerate(pieces_of(run, dataset, train, seed))) if silo is None else [(silo, train)]


def training_seed(run: Run) -> int:
    """The seed of whatever a run draws but its labelled examples: initial weights, order, augmentation, dropout."""
    return derive(run.seed, "retraining", run.retraining) if run.retraining else run.seed


def pieces_of(run: Run, dataset: DataSet, train: Examples, seed: int) -> list[Examples]:
    """The labelled examples of each peer, where these are its own; else those of all."""
    if not run.private:
        return [train]
    group = None if train.group is None else train.group.cpu()
    names = dataset.label_names if train.y.dim() == 1 else ()
    labels = Labels(strata_of(train.y).cpu(), names, group, dataset.groups)
    pieces = deal_out(run.shards, labels, run.peers, seed)
    if run.batch > (smallest := min(map(len, pieces))):
        raise ValueError(
            f"batch={run.batch}: the smallest of {run.peers} shards has {smallest} examples to draw it from: set batch "
            f"to {smallest} or less (--batch {smallest}), or raise labels"
        )
    return [train.take(piece.to(train.y.device)) for piece in pieces]
