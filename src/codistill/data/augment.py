"""Augmentation of a whole batch on its own device; every draw is from the CPU generator passed in."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from codistill.checks import whole
from codistill.data.options import bind
from codistill.spec import Spec, UnknownName

Augment = Callable[[Tensor, torch.Generator], Tensor]


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
    if mode not in _PADDINGS:
        raise UnknownName("padding mode of crop", str(mode), _PADDINGS)

    def cropped(x: Tensor, source: torch.Generator) -> Tensor:
        height, width = _size("crop", x)
        if mode == "reflect" and pad >= min(height, width):
            raise ValueError(
                f"crop: pad={pad} mirrors more than {height}x{width} pixels hold: lower it or set mode=zeros"
            )
        shift = torch.randint(-pad, pad + 1, (2, len(x), 1), generator=source).to(x.device, non_blocking=True)
        rows = torch.arange(height, device=x.device) + shift[0]
        columns = torch.arange(width, device=x.device) + shift[1]
        pad_index = _PADDINGS[mode]
        index = pad_index(rows, height)[:, :, None] * width + pad_index(columns, width)[:, None, :]
        out = x.flatten(2).gather(2, index.view(len(x), 1, -1).expand(-1, x.shape[1], -1)).view_as(x)
        if mode == "zeros":
            inside = _inside(rows, height)[:, None, :, None] & _inside(columns, width)[:, None, None, :]
            out = out.masked_fill(~inside, 0)
        return out

    return cropped


def flip() -> Augment:
    """Mirror each image left to right with probability one half."""

    def flipped(x: Tensor, source: torch.Generator) -> Tensor:
        _size("flip", x)
        turned = torch.randint(2, (len(x), 1, 1, 1), generator=source).to(x.device, non_blocking=True)
        return torch.where(turned == 1, x.flip(-1), x)

    return flipped


AUGMENTATIONS: dict[str, Callable[..., Augment]] = {make.__name__: make for make in (crop, flip)}


def build_augment(specs: Sequence[str]) -> Augment:
    """One function ``(x [B, C, H, W], generator) -> [B, C, H, W]`` from specs, applied in order.

    ``build_augment(["crop:pad=4", "flip"])`` is the augmentation of the paper; `AUGMENTATIONS` lists them all.

    Raises:
        UnknownName: no such augmentation or option, with the nearest that exists.
        ValueError: an option's value is out of range.
    """
    steps = [_build(Spec.parse(text)) for text in specs]

    def augment(x: Tensor, source: torch.Generator) -> Tensor:
        for step in steps:
            x = step(x, source)
        return x

    return augment


def _build(spec: Spec) -> Augment:
    if spec.name not in AUGMENTATIONS:
        raise UnknownName("augmentation", spec.name, AUGMENTATIONS)
    make = AUGMENTATIONS[spec.name]
    return make(**bind(make, spec, spec.args))


def _size(name: str, x: Tensor) -> tuple[int, int]:
    if x.ndim != 4:
        raise ValueError(
            f"{name}: x has shape {list(x.shape)}, only images [B, C, H, W] can be augmented: leave it out"
        )
    return x.shape[2], x.shape[3]


def _mirror(index: Tensor, size: int) -> Tensor:
    return size - 1 - (size - 1 - index.abs()).abs()


def _clamp(index: Tensor, size: int) -> Tensor:
    return index.clamp(0, size - 1)


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


_PADDINGS = {"reflect": _mirror, "replicate": _clamp, "zeros": _clamp}
