"""One image: how it is decoded and brought to size."""

import math
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
PIXELS = "CODISTILL_MAX_PIXELS"  # the environment variable for the largest image that is decoded
MOST_PIXELS = 89_478_485  # a quarter of a gigabyte in RGB, from which on pillow warns
TRIES = 10  # random crops drawn before the centre is taken
RATIOS = (3 / 4, 4 / 3)  # width to height of a random crop


class Unreadable(ValueError):
    """A file is no image, or a damaged one."""


def open_image(path: Path) -> "Image":
    """A decoded image; of an animated one the first frame.

    Raises:
        Unreadable: it cannot be decoded to its end, or has more than 8 bits to a value; names the file.
    """
    from PIL import Image

    try:
        check_file(path)
        with Image.open(path) as image:
            check_pixels(image)
            image.load()
            return check_depth(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        why = str(error).replace(f" '{path}'", "") or type(error).__name__
        raise Unreadable(
            f"{path} cannot be read ({why}): replace it, or set skip_bad=true (as in --data folder:skip_bad=true)"
        ) from error


def check_file(path: Path) -> None:
    """Raises a ValueError for a pipe and its like: opening one waits until somebody writes into it.

    Opening a folder is an error that says so.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise ValueError("it is no ordinary file")


def check_pixels(image: "Image") -> None:
    """Raises a ValueError, before it is decoded, for an image that would take a lot of memory."""
    most = int(os.environ.get(PIXELS, MOST_PIXELS))
    if (count := image.width * image.height) > most:
        raise ValueError(f"{count:,} pixels, at most {most:,}; where that is meant, set {PIXELS}={count}")


def pixels(image: "Image") -> Tensor:
    """``[C, H, W]`` uint8."""
    flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return flat.view(image.height, image.width, -1).permute(2, 0, 1)


@dataclass(frozen=True)
class Cut:
    """How an image comes to its size.

    Evaluation sees what `how` says. Training, where `area` is given, sees a random crop of each image, of ``area`` to
    1 of its pixels and 3/4 to 4/3 as wide as high (Szegedy et al., CVPR 2015), stretched to the size.

    Attributes:
        height: in pixels; 0: that of the first image.
        width: as `height`.
        grey: one channel in place of three; None: as the first image.
        invert: dark becomes bright.
        how: ``resize``: the short side is brought to 256/224 of ``height`` and the centre taken (the usual of
            ImageNet). ``fit``: the largest centre of the right shape, resized. ``stretch``: the full image, whatever
            its shape. ``same``: images must have the size.
        area: the smallest crop that training draws; None: training sees what evaluation sees.
    """

    height: int = 0
    width: int = 0
    grey: bool | None = False
    invert: bool = False
    how: Literal["resize", "fit", "stretch", "same"] = "resize"
    area: float | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the result, ``(C, H, W)``."""
        return (1 if self.grey else 3, self.height, self.width)

    @property
    def short_side(self) -> int:
        """What ``resize`` brings the short side to."""
        return round(self.height * 256 / 224)

    def settled(self, image: "Image") -> "Cut":
        """The same with what is not given (size, channels) taken from an image."""
        grey = image.mode in ("1", "L") if self.grey is None else self.grey
        return replace(self, height=self.height or image.height, width=self.width or image.width, grey=grey)

    def draws(self, count: int, source: torch.Generator) -> Tensor | None:
        """What is random in the crops of ``count`` images: numbers from 0 to 1, ``[count, 2 * TRIES + 2]``."""
        return None if self.area is None else torch.rand(count, 2 * TRIES + 2, generator=source)

    def read(self, path: Path, draw: Tensor | None = None) -> Tensor:
        """An image file, ``[C, H, W]`` uint8; see `apply`.

        Raises:
            Unreadable: names the file.
        """
        return self.apply(open_image(path), draw)

    def apply(self, image: "Image", draw: Tensor | None = None) -> Tensor:
        """An image, ``[C, H, W]`` uint8: as for evaluation, or the crop that a row of `draws` makes of it.

        Raises:
            ValueError: more than 8 bits to a value, or another size where all must have one.
        """
        from PIL import ImageOps
        from PIL.Image import Resampling

        check_depth(image).info.pop("transparency", None)  # it would only be warned of
        image = image.convert("L" if self.grey else "RGB")
        image = ImageOps.invert(image) if self.invert else image
        size = (self.width, self.height)
        if draw is not None or self.how == "stretch":
            box = None if draw is None else self.drawn(image.width, image.height, draw)
            return pixels(image.resize(size, Resampling.BILINEAR, box=box))
        if self.how != "same":
            return pixels(ImageOps.fit(image, size) if self.how == "fit" else self._centre(image))
        if image.size != size:
            first = f"the first {self.height}x{self.width}"
            raise ValueError(f"is {image.height}x{image.width} pixels, {first}: resize them to one size")
        return pixels(image)

    def drawn(self, width: int, height: int, draw: Tensor) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a crop of an image of that size.

        The first of ``TRIES`` that fits; else the largest centre of an allowed shape.
        """
        assert self.area is not None
        *tries, across, down = draw.tolist()
        low, high = map(math.log, RATIOS)
        for share, shape in zip(tries[::2], tries[1::2], strict=True):
            area = width * height * (self.area + (1 - self.area) * share)
            ratio = math.exp(low + (high - low) * shape)
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = int(across * (width - w + 1)), int(down * (height - h + 1))
                return left, top, left + w, top + h
        w, h = max(min(width, round(height * RATIOS[1])), 1), max(min(height, round(width / RATIOS[0])), 1)
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h

    def _centre(self, image: "Image") -> "Image":
        from PIL.Image import Resampling

        short, least = self.short_side, min(image.size)
        width, height = (max(short * side // least, 1) for side in image.size)
        image = image.resize((width, height), Resampling.BILINEAR)
        left, top = round((image.width - self.width) / 2), round((image.height - self.height) / 2)
        return image.crop((left, top, left + self.width, top + self.height))


def check_depth(image: "Image") -> "Image":
    """The image; a ValueError where it has more than 8 bits to a value, which would be clipped."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"has more than 8 bits to a pixel (mode {image.mode}): convert it")
    return image
