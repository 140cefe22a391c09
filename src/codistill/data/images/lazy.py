"""Images in files: read when they are asked for, decoded all at once, or tried for errors."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from codistill.caching import digest
from codistill.data.disk_cache import MANY, cached, stamp
from codistill.data.images.cut import Cut, Unreadable, open_image
from codistill.data.skipping import left_out

PIECE = 256  # files that a thread takes at a time
CPU = torch.device("cpu")

T = TypeVar("T")


@dataclass(frozen=True)
class FileNames:
    """Many files below one folder, their names in one tensor.

    A list of a million strings would be copied into every worker process, as soon as it looks at it.

    Attributes:
        root: the folder.
        names: below it, ``[N, L]`` uint8, filled up with zeros.
    """

    root: Path
    names: Tensor

    @classmethod
    def of(cls, root: Path, names: Iterable[str]) -> Self:
        """From names below the folder, folders joined by ``/``."""
        encoded = np.array([os.fsencode(name) for name in names], dtype=bytes)
        return cls(root, torch.from_numpy(encoded.view(np.uint8).reshape(len(encoded), encoded.itemsize)))

    def __len__(self) -> int:
        return len(self.names)

    def path(self, number: int) -> Path:
        """The ``number``-th file."""
        return self.root / os.fsdecode(self.names[number].numpy().tobytes().rstrip(b"\0"))

    def take(self, index: Tensor) -> Self:
        """The files at ``index [n]``, in that order."""
        return replace(self, names=self.names[index])


def readable(files: FileNames, name: str) -> Tensor:
    """Which images can be read, ``[N]`` bool; a warning counts and names those that cannot.

    Each is decoded once, in threads; where there are 1,000 or more, the outcome is cached for the next start, until a
    file's name, size or time of change is another (`codistill.data.disk_cache`).

    Args:
        files: The images.
        name: Of the data set, for messages.
    """
    note = _stamps(files)

    def make() -> tuple[dict[str, Tensor], str | None]:
        good = _tried(files, lambda number: open_image(files.path(number)), title=f"{name}: checking all images")
        return {"good": good}, note

    good = cached(f"{name}-readable", files.root, (), fresh=lambda then: then == note, make=make)["good"]
    _report(files, good, name)
    return good


def decoded(files: FileNames, cut: Cut, name: str, skip_bad: bool) -> tuple[Tensor, Tensor]:
    """The images that can be read, ``[n, C, H, W]`` uint8, and which of the files these are, ``[N]`` bool.

    From 1,000 images on, what has been decoded is cached for the next start (`codistill.data.disk_cache`), until a
    file changes.

    Args:
        files: The images.
        cut: How they come to their size.
        name: Of the data set, for messages.
        skip_bad: Leave out images that cannot be read, with a warning that counts them, in place of an error.

    Raises:
        Unreadable: names the first image that cannot be read.
    """
    note = _stamps(files)

    def make() -> tuple[dict[str, Tensor], str | None]:
        x = torch.empty(len(files), *cut.shape, dtype=torch.uint8)

        def read(number: int) -> None:
            x[number] = cut.read(files.path(number))

        good = _tried(files, read, skip_bad)
        return {"x": x if good.all() else x[good], "good": good}, note

    tensors = cached(name, files.root, (cut,), fresh=lambda then: then == note, make=make)
    x, good = tensors["x"], tensors["good"]
    if not skip_bad and not good.all():
        cut.read(files.path(int(good.int().argmin())))  # raises what names it
    _report(files, good, name)
    return x, good


def _stamps(files: FileNames) -> str | None:
    """What changes with the files, where they are many enough to be cached."""
    return digest(_each(len(files), lambda number: stamp(files.path(number)))) if len(files) >= MANY else None


def _report(files: FileNames, good: Tensor, name: str) -> None:
    """A warning that counts and names the images that cannot be read."""
    bad = [str(files.path(number)) for number in (~good).nonzero().flatten().tolist()]
    left_out(name, f"images in {files.root}", len(files), bad, skip_bad=True, error=FileNotFoundError)


def _each(count: int, function: Callable[[int], T], title: str = "") -> Iterator[T]:
    """The values of a function of 0, 1, ... in order, by threads; with a title, a bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    with ThreadPool() as pool:
        values = pool.imap(function, range(count), PIECE)
        yield from track(values, title, count, console=Console(stderr=True), disable=not title or count < MANY)


def _tried(files: FileNames, read: Callable[[int], object], skip_bad: bool = True, title: str = "") -> Tensor:
    """Which files can be read, ``[N]`` bool; without ``skip_bad`` the first that cannot raises."""

    def good(number: int) -> bool:
        try:
            read(number)
        except Unreadable:
            if not skip_bad:
                raise
            return False
        return True

    return torch.tensor(list(_each(len(files), good, title)), dtype=torch.bool)


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Images ``[N, C, H, W]``, uint8, that are read when they are asked for: `Examples` takes them as inputs.

    ``images[index]`` reads and sizes them as for evaluation; nothing that has been read is kept. `workers` and
    `Loader` read ahead in other processes.

    Attributes:
        files: where they are.
        cut: how they come to their size.
        name: of the data set, for messages.
        workers: processes that read; 0: this one.
        device: to which they come once they have been read.
    """

    files: FileNames
    cut: Cut
    name: str
    workers: int = 0
    device: torch.device = CPU

    dtype: ClassVar = torch.uint8
    ndim: ClassVar = 4

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> torch.Size:
        """Of the tensor that all of them would be."""
        return torch.Size((len(self), *self.cut.shape))

    def is_floating_point(self) -> bool:
        """Never: they are bytes."""
        return False

    def to(self, device: torch.device | str) -> "LazyImages":
        """The same images, which come to that device once they have been read."""
        return replace(self, device=torch.device(device))

    def take(self, index: Tensor) -> "LazyImages":
        """The images at ``index [n]``, in that order; nothing is read."""
        return replace(self, files=self.files.take(index.cpu()))

    def shared(self, readers: int) -> "LazyImages":
        """The same images, read by an equal share of the worker processes: there are so many readers at a time."""
        return replace(self, workers=self.workers and max(self.workers // readers, 1))

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Images ``[B, C, H, W]`` uint8 as for evaluation, on the device; read in this process.

        Raises:
            Unreadable: names the file.
        """
        numbers = torch.arange(len(self))[index.cpu() if isinstance(index, Tensor) else index]
        return self.read(numbers).to(self.device)

    def read(self, numbers: Tensor, draws: Tensor | None = None) -> Tensor:
        """Images ``[B, C, H, W]`` uint8 in memory.

        Args:
            numbers: which, ``[B]``.
            draws: as `Cut.draws` makes them, for training; None: as for evaluation.

        Raises:
            Unreadable: names the file.
        """
        x = torch.empty(len(numbers), *self.cut.shape, dtype=torch.uint8)
        for i, number in enumerate(numbers.tolist()):
            x[i] = self.cut.read(self.files.path(number), None if draws is None else draws[i])
        return x
