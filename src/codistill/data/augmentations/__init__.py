"""Augmentations of a whole batch on its own device, one to a file; the folder is the list.

Every draw is from the CPU generator that is passed in.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from codistill.discovery import construct
from codistill.spec import Spec

Augment = Callable[[Tensor, torch.Generator], Tensor]


def build_augment(specs: Sequence[str | Spec]) -> Augment:
    """One function ``(x [B, C, H, W], generator) -> [B, C, H, W]`` from specs, applied in order.

    ``build_augment(["crop:pad=4", "flip"])`` is the augmentation of the paper.

    Raises:
        UnknownName: no such augmentation or option, with the nearest that exist.
        ValueError: an invalid value.
    """
    steps: list[Augment] = [construct(__name__, spec) for spec in specs]

    def augment(x: Tensor, source: torch.Generator) -> Tensor:
        for step in steps:
            x = step(x, source)
        return x

    return augment


def image_size(name: str, x: Tensor) -> tuple[int, int]:
    """Height and width of a batch ``[B, C, H, W]``; a ValueError that names the augmentation for any other."""
    if x.ndim != 4:
        only = "only images [B, C, H, W] can be augmented"
        raise ValueError(f"{name}: x has shape {list(x.shape)}, {only}: leave it out")
    return x.shape[2], x.shape[3]
