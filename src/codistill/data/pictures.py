"""Pictures that stay in their files until they are asked for."""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from codistill.data.cut import Cut, Unreadable


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


class Pictures:
    """Pictures ``[N, C, H, W]``, uint8, that are read when they are asked for: `Examples` takes them as inputs.

    ``pictures[index]`` reads and cuts them as for evaluation; nothing that has been read is kept. `workers` and
    `Loader` read ahead in other processes. With ``skip_bad``, the nearest picture of the same folder that can be read
    takes the place of one that cannot; every such file is counted, with a warning when it is first met.

    Args:
        files: where they are.
        cut: how they come to their size.
        name: of the data set, for messages.
        workers: processes that read; 0: this one.
        skip_bad: go on where one cannot be read, in place of an error.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(self, files: Files, cut: Cut, *, name: str, workers: int = 0, skip_bad: bool = False) -> None:
        self.files, self.cut, self.name, self.workers, self.skip_bad = files, cut, name, workers, skip_bad
        self.rows = torch.arange(len(files))
        self.device = torch.device("cpu")
        self.bad: set[str] = set()  # what has been found so far; all parts of a set share it

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
        x, bad = self.read(places)
        self.say(bad)
        return x.to(self.device)

    def read(self, places: Tensor, draws: Tensor | None = None) -> tuple[Tensor, tuple[str, ...]]:
        """Pictures ``[B, C, H, W]`` uint8 in memory, and the names of files for which another one stands in.

        Args:
            places: which, ``[B]``.
            draws: as `Cut.draws` makes them, for training; None: as for evaluation.

        Raises:
            Unreadable: names the file; with ``skip_bad``, a folder of which no picture can be read.
        """
        x = torch.empty(len(places), *self.cut.shape, dtype=torch.uint8)
        bad: list[str] = []
        for number, place in enumerate(places.tolist()):
            x[number] = self._read(place, None if draws is None else draws[number], bad)
        return x, tuple(bad)

    def _read(self, place: int, draw: Tensor | None, bad: list[str]) -> Tensor:
        for instead in self._stand_ins(place) if self.skip_bad else (place,):
            try:
                return self.cut.read(self.path(instead), draw)
            except Unreadable:
                if not self.skip_bad:
                    raise
                bad.append(str(self.path(instead)))
        folder = self.path(place).parent
        raise Unreadable(f"{self.name}: no picture in {folder} can be read: replace them, or remove that folder")

    def _stand_ins(self, place: int) -> Iterator[int]:
        """The place itself, then others of the same folder, the nearest first."""
        yield place
        folder = self.path(place).parent
        for away in range(1, len(self)):
            for other in (place + away, place - away):
                if 0 <= other < len(self) and self.path(other).parent == folder:
                    yield other

    def say(self, bad: Sequence[str]) -> None:
        """Warn of files that could not be read, each only once."""
        for path in dict.fromkeys(bad):
            if path not in self.bad:
                self.bad.add(path)
                warnings.warn(
                    f"{self.name}: {path} cannot be read, another picture of its folder takes its place "
                    f"({len(self.bad)} of {len(self.files)} so far)",
                    stacklevel=3,
                )
