"""Channel maps: features ``[E, B, C, ...]``, the channels third, positions after them (none in a flat feature)."""

import torch
from torch import Tensor


def positions(maps: Tensor) -> Tensor:
    """All positions in one dim: ``[E, B, C, H, W]`` -> ``[E, B, C, H W]``; a flat feature has one."""
    return maps.flatten(3) if maps.dim() > 3 else maps.unsqueeze(-1)


def unit(values: Tensor, eps: float = 0.0) -> Tensor:
    """Divided by their L2 norm along the last dim (+ eps); what is all zero stays, its gradient is not enlarged."""
    norm: Tensor = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
    return values / (norm + eps).where(norm > 0, norm.new_ones(()))
