"""How pictures that are in memory come to one size."""

from typing import TYPE_CHECKING

from torch import Tensor

from codistill.checks import flag, whole
from codistill.data.cut import pixels

if TYPE_CHECKING:
    from PIL.Image import Image


class Frame:
    """Pictures of one size and one number of channels; what is not said, the first picture says.

    Args:
        name: Of the data set, for messages.
        size: Height and width, by the short side and cropped at the centre; None: all pictures are of one size.
        grey: One channel in place of three.

    Raises:
        ValueError: an option out of range.
    """

    def __init__(self, name: str, size: int | None = None, grey: bool | None = None) -> None:
        if size is not None:
            whole(f"{name}: size", size)
        if grey is not None:
            flag(f"{name}: grey", grey)
        self.fitted = size is not None
        self.size = None if size is None else (size, size)
        self.grey = grey

    def take(self, image: "Image", where: str) -> Tensor:
        """A picture as ``[C, H, W]`` uint8; a ValueError that begins with ``where`` if it is of another size."""
        from PIL import ImageOps

        if image.mode.startswith(("I", "F")):  # would be clipped at 255, so turn white
            raise ValueError(f"{where} has more than 8 bits to a pixel (mode {image.mode}): convert it")
        self.grey = image.mode in ("1", "L") if self.grey is None else self.grey
        self.size = self.size or image.size
        if image.size != self.size and not self.fitted:
            (width, height), (across, down) = image.size, self.size
            raise ValueError(f"{where} is {height}x{width} pixels, the first {down}x{across}: bring them to one size")
        return pixels(ImageOps.fit(image.convert("L" if self.grey else "RGB"), self.size))
