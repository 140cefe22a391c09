"""Pictures that stay in their files until they are asked for, and how they are cut to size."""

import math
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
TRIES = 10  # parts of a picture that are drawn before the whole is taken
RATIOS = (3 / 4, 4 / 3)  # width to height of such a part


class Unreadable(ValueError):
    """A file is no picture, or a damaged one."""


def open_picture(path: Path, mode: Literal["L", "RGB"]) -> "Image":
    """A decoded picture, grey or in colour; of an animated one the first, and what is transparent is opaque.

    Raises:
        Unreadable: it cannot be decoded to its end, or has more than 8 bits to a value, which would be clipped.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"more than 8 bits to a pixel (mode {image.mode}): convert it")
            image.load()
            image.info.pop("transparency", None)  # it would only be warned of
            return image.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"{path} cannot be read ({_short(error, path)}): replace it, or set skip_bad=true") from error


def _short(error: Exception, path: Path) -> str:
    return str(error).replace(f" '{path}'", "") or type(error).__name__


def pixels(image: "Image") -> Tensor:
    """``[C, H, W]`` uint8."""
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, -1).permute(2, 0, 1)


@dataclass(frozen=True)
class Cut:
    """How a picture comes to its size.

    For evaluation: the short side is brought to 256/224 of ``height`` and the centre taken (the usual of ImageNet),
    or the whole is stretched. For training: where ``area`` is given, a part is drawn for each picture, of ``area`` to
    1 of its pixels and 3/4 to 4/3 as wide as high (Szegedy et al., CVPR 2015), and stretched.

    Attributes:
        height: of what comes out, in pixels.
        width: as `height`.
        grey: one channel in place of three.
        stretch: the whole picture, whatever its shape.
        area: the smallest part that training draws; None: training sees what evaluation sees.
    """

    height: int
    width: int
    grey: bool = False
    stretch: bool = False
    area: float | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what comes out, ``(C, H, W)``."""
        return (1 if self.grey else 3, self.height, self.width)

    def draws(self, count: int, source: torch.Generator) -> Tensor | None:
        """What is random in the cuts of ``count`` pictures: numbers from 0 to 1, ``[count, 2 * TRIES + 2]``."""
        return None if self.area is None else torch.rand(count, 2 * TRIES + 2, generator=source)

    def read(self, path: Path, draw: Tensor | None = None) -> Tensor:
        """A picture, ``[C, H, W]`` uint8: as for evaluation, or the part that a row of `draws` makes of it.

        Raises:
            Unreadable: names the file.
        """
        from PIL.Image import Resampling

        image = open_picture(path, "L" if self.grey else "RGB")
        if draw is not None:
            box: tuple[int, int, int, int] | None = self.drawn(image.width, image.height, draw)
        elif self.stretch:
            box = None
        else:
            image, box = self._centre(image)
        size = (self.width, self.height)
        return pixels(image.crop(box) if box and draw is None else image.resize(size, Resampling.BILINEAR, box=box))

    def drawn(self, width: int, height: int, draw: Tensor) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a part of a picture of that size.

        The first of ``TRIES`` that fits; else the greatest centre of an allowed shape.
        """
        assert self.area is not None
        *tries, across, down = draw.tolist()
        low, high = map(math.log, RATIOS)
        for share, shape in zip(tries[::2], tries[1::2], strict=True):
            part = width * height * (self.area + (1 - self.area) * share)
            ratio = math.exp(low + (high - low) * shape)
            w, h = round(math.sqrt(part * ratio)), round(math.sqrt(part / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
                return left, top, left + w, top + h
        w = max(min(width, round(height * RATIOS[1])), 1)
        h = max(min(height, round(width / RATIOS[0])), 1)
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h

    def _centre(self, image: "Image") -> tuple["Image", tuple[int, int, int, int]]:
        """The picture made small, and the box of its centre."""
        from PIL.Image import Resampling

        short, least = round(self.height * 256 / 224), min(image.size)
        size = [max(short * side // least, 1) for side in image.size]
        image = image.resize((size[0], size[1]), Resampling.BILINEAR)
        left, top = round((image.width - self.width) / 2), round((image.height - self.height) / 2)
        return image, (left, top, left + self.width, top + self.height)


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
