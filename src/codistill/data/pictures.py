"""Pictures that stay in their files until they are asked for."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self, TypeVar

import torch
from torch import Tensor

from codistill.data.class_folders import left_out
from codistill.data.cut import Cut, Unreadable, open_picture
from codistill.data.kept import digest, kept, stamp

MANY = 1000  # files from which on it is kept which of them can be read, and their reading shows a bar
PIECE = 256  # files that a thread takes at a time

T = TypeVar("T")


@dataclass(frozen=True)
class Files:
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
        """From names below the folder, parts joined by ``/``."""
        encoded = [os.fsencode(name) for name in names]
        text = torch.frombuffer(bytearray(b"".join(encoded) or b"\0"), dtype=torch.uint8)
        return cls(root, text, torch.tensor([len(name) for name in encoded], dtype=torch.int64).cumsum(0))

    def __len__(self) -> int:
        return len(self.ends)

    def name(self, number: int) -> str:
        """The ``number``-th file's name below the folder."""
        first = int(self.ends[number - 1]) if number else 0
        return os.fsdecode(self.text[first : int(self.ends[number])].numpy().tobytes())

    def some(self, first: int, last: int) -> list[Path]:
        """Those from the ``first`` on, the ``last`` not among them."""
        ends = [int(self.ends[first - 1]) if first else 0, *self.ends[first:last].tolist()]
        text = self.text[ends[0] : ends[-1]].numpy().tobytes()
        return [self.root / os.fsdecode(text[a - ends[0] : b - ends[0]]) for a, b in pairwise(ends)]


def readable(files: Files, name: str) -> Tensor:
    """Which pictures can be read, ``[N]`` bool; a warning counts and names those that cannot.

    Each is decoded once, in threads; where there are 1,000 or more, the outcome is kept for the next start, until a
    file's name, size or time of change is another (`codistill.data.kept`).

    Args:
        files: The pictures.
        name: Of the data set, for messages.
    """
    note = digest(_each(files, stamp)) if len(files) >= MANY else None

    def make() -> tuple[dict[str, Tensor], str | None]:
        tried = _each(files, _can_be_read, f"{name}: looking at all pictures")
        return {"good": torch.tensor(list(tried), dtype=torch.bool)}, note

    good = kept(f"{name}-readable", files.root, (), fresh=lambda then: then == note, make=make)["good"]
    if not good.all():
        bad = [files.root / files.name(number) for number in (~good).nonzero().flatten().tolist()]
        left_out(name, f"of {len(files)} pictures in {files.root} cannot be read", bad)
    return good


def _each(files: Files, function: Callable[[Path], T], told: str | None = None) -> Iterator[T]:
    """What a function makes of every file, in order, by threads; a bar on stderr where it says what is going on."""
    from rich.console import Console
    from rich.progress import track

    def piece(first: int) -> list[T]:
        return [function(path) for path in files.some(first, first + PIECE)]

    with ThreadPoolExecutor() as pool:
        made = (one for found in pool.map(piece, range(0, len(files), PIECE)) for one in found)
        hidden = told is None or len(files) < MANY
        yield from track(made, told or "", len(files), console=Console(stderr=True), disable=hidden)


def _can_be_read(path: Path) -> bool:
    """Whether a picture can be decoded to its end."""
    try:
        open_picture(path, "RGB")
    except Unreadable:
        return False
    return True


class Pictures:
    """Pictures ``[N, C, H, W]``, uint8, that are read when they are asked for: `Examples` takes them as inputs.

    ``pictures[index]`` reads and cuts them as for evaluation; nothing that has been read is kept. `workers` and
    `Loader` read ahead in other processes.

    Args:
        files: where they are.
        cut: how they come to their size.
        name: of the data set, for messages.
        workers: processes that read; 0: this one.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(self, files: Files, cut: Cut, *, name: str, workers: int = 0) -> None:
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

    def to(self, device: torch.device | str) -> "Pictures":
        """The same pictures, which come to that device once they have been read."""
        return self._with(self.rows, torch.device(device), self.workers)

    def take(self, index: Tensor) -> "Pictures":
        """The pictures at ``index [n]``, in that order; nothing is read."""
        return self._with(self.rows[index.cpu()], self.device, self.workers)

    def shared(self, readers: int) -> "Pictures":
        """The same pictures, read by an equal part of the worker processes: there are so many readers at a time."""
        return self._with(self.rows, self.device, self.workers and max(self.workers // readers, 1))

    def _with(self, rows: Tensor, device: torch.device, workers: int) -> "Pictures":
        made = Pictures.__new__(Pictures)
        made.__dict__ |= {**self.__dict__, "rows": rows, "device": device, "workers": workers}
        return made

    def path(self, place: int) -> Path:
        """Where the picture at a place is."""
        return self.files.root / self.files.name(int(self.rows[place]))

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Pictures ``[B, C, H, W]`` uint8 as for evaluation, on the device; read in this process.

        Raises:
            Unreadable: names the file.
        """
        places = torch.arange(len(self))[index.cpu() if isinstance(index, Tensor) else index]
        return self.read(places).to(self.device)

    def read(self, places: Tensor, draws: Tensor | None = None) -> Tensor:
        """Pictures ``[B, C, H, W]`` uint8 in memory.

        Args:
            places: which, ``[B]``.
            draws: as `Cut.draws` makes them, for training; None: as for evaluation.

        Raises:
            Unreadable: names the file.
        """
        x = torch.empty(len(places), *self.cut.shape, dtype=torch.uint8)
        for number, place in enumerate(places.tolist()):
            x[number] = self.cut.read(self.path(place), None if draws is None else draws[number])
        return x
