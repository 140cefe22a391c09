"""Images in files: read when they are asked for, decoded all at once, or tried for errors."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self, TypeVar

import torch
from torch import Tensor

from codistill.data.disk_cache import MANY, cached, digest, stamp
from codistill.data.images.cut import Cut, Unreadable, open_image
from codistill.data.skipping import left_out

PIECE = 256  # files that a thread takes at a time

T = TypeVar("T")


@dataclass(frozen=True)
class FileNames:
    """Many files below one folder, their names in one tensor.

    A list of a million strings would be copied into every worker process, as soon as it looks at it.

    Attributes:
        root: the folder.
        text: names below it, one after the other, uint8.
        ends: where each ends, ``[N]`` int64.
    """

    root: Path
    text: Tensor
    ends: Tensor

    @classmethod
    def of(cls, root: Path, names: Iterable[str]) -> Self:
        """From names below the folder, folders joined by ``/``."""
        encoded = [os.fsencode(name) for name in names]
        text = torch.frombuffer(bytearray(b"".join(encoded) or b"\0"), dtype=torch.uint8)
        return cls(root, text, torch.tensor([len(name) for name in encoded], dtype=torch.int64).cumsum(0))

    def __len__(self) -> int:
        return len(self.ends)

    def path(self, number: int) -> Path:
        """The ``number``-th file."""
        return self.slice(number, number + 1)[0]

    def slice(self, first: int, last: int) -> list[Path]:
        """The files from ``first`` to before ``last``."""
        ends = [int(self.ends[first - 1]) if first else 0, *self.ends[first:last].tolist()]
        text = self.text[ends[0] : ends[-1]].numpy().tobytes()
        return [self.root / os.fsdecode(text[a - ends[0] : b - ends[0]]) for a, b in pairwise(ends)]


def readable(files: FileNames, name: str) -> Tensor:
    """Which images can be read, ``[N]`` bool; a warning counts and names those that cannot.

    Each is decoded once, in threads; where there are 1,000 or more, the outcome is cached for the next start, until a
    file's name, size or time of change is another (`codistill.data.disk_cache`).

    Args:
        files: The images.
        name: Of the data set, for messages.
    """
    note = digest(_each(files, stamp)) if len(files) >= MANY else None

    def make() -> tuple[dict[str, Tensor], str | None]:
        tried = _each(files, _can_be_read, f"{name}: checking all images")
        return {"good": torch.tensor(list(tried), dtype=torch.bool)}, note

    good = cached(f"{name}-readable", files.root, (), fresh=lambda then: then == note, make=make)["good"]
    bad = [str(files.path(number)) for number in (~good).nonzero().flatten().tolist()]
    left_out(name, f"images in {files.root}", len(files), bad, skip_bad=True, error=FileNotFoundError)
    return good


def decoded(name: str, root: Path, paths: Sequence[Path], cut: Cut, skip_bad: bool) -> tuple[Tensor, Tensor]:
    """The images that can be read, ``[n, C, H, W]`` uint8, and which of the files these are, ``[N]`` bool.

    From 1,000 images on, what has been decoded is cached for the next start (`codistill.data.disk_cache`), until a
    file changes.

    Args:
        name: Of the data set, for messages.
        root: The folder that all files are below.
        paths: The files.
        cut: How they come to their size.
        skip_bad: Leave out images that cannot be read, with a warning that counts them, in place of an error.

    Raises:
        Unreadable: names the first image that cannot be read.
    """
    note = digest(map(stamp, paths)) if len(paths) >= MANY else None

    def make() -> tuple[dict[str, Tensor], str | None]:
        x = torch.empty(len(paths), *cut.shape, dtype=torch.uint8)
        good = torch.ones(len(paths), dtype=torch.bool)

        def read(number: int) -> None:
            try:
                x[number] = cut.read(paths[number])
            except Unreadable:
                if not skip_bad:
                    raise
                good[number] = False

        with ThreadPoolExecutor() as pool:
            list(pool.map(read, range(len(paths))))
        return {"x": x if good.all() else x[good], "good": good}, note

    tensors = cached(name, root, (cut,), fresh=lambda then: then == note, make=make)
    good = tensors["good"]
    bad = [path for path, fine in zip(paths, good.tolist(), strict=True) if not fine]
    if bad and not skip_bad:
        cut.read(bad[0])  # raises what names it
    left_out(name, f"images in {root}", len(paths), list(map(str, bad)), skip_bad=True, error=FileNotFoundError)
    return tensors["x"], good


def _each(files: FileNames, function: Callable[[Path], T], title: str | None = None) -> Iterator[T]:
    """The values of a function for every file, in order, by threads; with a title, a bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    def piece(first: int) -> list[T]:
        return [function(path) for path in files.slice(first, min(first + PIECE, len(files)))]

    with ThreadPoolExecutor() as pool:
        values = (value for some in pool.map(piece, range(0, len(files), PIECE)) for value in some)
        hidden = title is None or len(files) < MANY
        yield from track(values, title or "", len(files), console=Console(stderr=True), disable=hidden)


def _can_be_read(path: Path) -> bool:
    try:
        open_image(path)
    except Unreadable:
        return False
    return True


class LazyImages:
    """Images ``[N, C, H, W]``, uint8, that are read when they are asked for: `Examples` takes them as inputs.

    ``images[index]`` reads and sizes them as for evaluation; nothing that has been read is kept. `workers` and
    `Loader` read ahead in other processes.

    Args:
        files: where they are.
        cut: how they come to their size.
        name: of the data set, for messages.
        workers: processes that read; 0: this one.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(self, files: FileNames, cut: Cut, *, name: str, workers: int = 0) -> None:
        self.files, self.cut, self.name, self.workers = files, cut, name, workers
        self.rows = torch.arange(len(files))
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """Of the tensor that all of them would be."""
        return torch.Size((len(self), *self.cut.shape))

    def is_floating_point(self) -> bool:
        """Never: they are bytes."""
        return False

    def to(self, device: torch.device | str) -> "LazyImages":
        """The same images, which come to that device once they have been read."""
        return self._with(device=torch.device(device))

    def take(self, index: Tensor) -> "LazyImages":
        """The images at ``index [n]``, in that order; nothing is read."""
        return self._with(rows=self.rows[index.cpu()])

    def shared(self, readers: int) -> "LazyImages":
        """The same images, read by an equal share of the worker processes: there are so many readers at a time."""
        return self._with(workers=self.workers and max(self.workers // readers, 1))

    def _with(self, **changed: object) -> "LazyImages":
        copy = LazyImages.__new__(LazyImages)
        copy.__dict__ |= self.__dict__ | changed
        return copy

    def path(self, number: int) -> Path:
        """The file of an image."""
        return self.files.path(int(self.rows[number]))

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
            x[i] = self.cut.read(self.path(number), None if draws is None else draws[i])
        return x
