"""One picture file: how it is read and cut to size."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
