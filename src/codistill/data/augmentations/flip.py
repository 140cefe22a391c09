"""Random horizontal flips."""

import torch
from torch import Tensor

from codistill.data.augmentations import Augment, image_size


def flip() -> Augment:
    """Mirror each image left to right with probability one half."""

    def flipped(x: Tensor, source: torch.Generator) -> Tensor:
        image_size("flip", x)
        turned = torch.randint(2, (len(x), 1, 1, 1), generator=source).to(x.device, non_blocking=True)
        return torch.where(turned == 1, x.flip(-1), x)

    return flipped


__all__ = ["flip"]
