"""The overhaul of feature distillation."""

import torch
from torch import Tensor

from codistill.losses.maps import positions


def clipped(sources: Tensor) -> Tensor:
    """max(t, m) with m of each channel the mean of its negative values over the batch; 0 where there is none."""
    by_channel = positions(sources).transpose(1, 2).flatten(2)  # [E, C, B positions]
    count = (by_channel < 0).sum(-1).clamp(min=1)
    margin = by_channel.clamp(max=0).sum(-1) / count
    return torch.maximum(sources, margin.view(len(margin), 1, -1, *[1] * (sources.dim() - 3)))


def ofd(students: Tensor, sources: Tensor) -> Tensor:
    """Mean of (s - t)^2, 0 where s <= t <= 0, with t the source clipped below at its margin. Heo et al., ICCV 2019.

    Args:
        students: ``[E, B, C, ...]``, before their ReLU and through a connector.
        sources: the same shape, before their ReLU, detached.

    Returns: ``[E]``.
    """
    t = clipped(sources)
    values = (students - t).square()
    return values.where((students > t) | (t > 0), values.new_zeros(())).flatten(1).mean(1)
