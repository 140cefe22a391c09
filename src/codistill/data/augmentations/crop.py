"""Random crops of a padded image."""

import torch
from torch import Tensor

from codistill.checks import one_of, whole
from codistill.data.augmentations import Augment, image_size

MODES = ("reflect", "replicate", "zeros")


def crop(pad: int = 4, mode: str = "reflect") -> Augment:
    """A random crop of the image's own size from the image padded on all sides.

    Mirrored padding is the paper's (arXiv:1706.00384); black padding is common in copies of it.

    Args:
        pad: Pixels on each side; below height and width where the mode is ``reflect``.
        mode: What lies outside: ``reflect`` (mirrored, the edge pixel once), ``replicate`` or ``zeros``.

    Raises:
        ValueError: an option out of range; on the first batch, a pad that its images are too small for.
    """
    whole("crop: pad", pad, 0)
    one_of("crop: mode", mode, MODES)

    def cropped(x: Tensor, source: torch.Generator) -> Tensor:
        height, width = image_size("crop", x)
        if mode == "reflect" and pad >= min(height, width):
            more = f"more than {height}x{width} pixels hold"
            raise ValueError(f"crop: pad={pad} mirrors {more}: lower it or set mode=zeros")
        shift = torch.randint(-pad, pad + 1, (2, len(x), 1), generator=source).to(x.device, non_blocking=True)
        rows = torch.arange(height, device=x.device) + shift[0]
        columns = torch.arange(width, device=x.device) + shift[1]
        inside_rows, inside_columns = _padded(rows, height, mode), _padded(columns, width, mode)
        index = inside_rows[:, :, None] * width + inside_columns[:, None, :]
        out = x.flatten(2).gather(2, index.view(len(x), 1, -1).expand(-1, x.shape[1], -1)).view_as(x)
        if mode == "zeros":
            outside = (rows != inside_rows)[:, None, :, None] | (columns != inside_columns)[:, None, None, :]
            out = out.masked_fill(outside, 0)
        return out

    return cropped


def _padded(index: Tensor, size: int, mode: str) -> Tensor:
    """Where a padded pixel comes from, for indices that may lie outside."""
    return size - 1 - (size - 1 - index.abs()).abs() if mode == "reflect" else index.clamp(0, size - 1)


__all__ = ["crop"]
