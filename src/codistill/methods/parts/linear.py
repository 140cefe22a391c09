"""Weights and biases that a method trains."""

import math

import torch
from torch import Tensor, nn


def linear(*shape: int, like: Tensor) -> nn.Parameter:
    """A weight ``[..., out, in]`` as `nn.Linear` starts it, in a feature's dtype and on its device."""
    bound = 1.0 / math.sqrt(shape[-1])
    return nn.Parameter(torch.empty(shape, dtype=like.dtype, device=like.device).uniform_(-bound, bound))


def zeros(*shape: int, like: Tensor) -> nn.Parameter:
    """A bias that starts at 0."""
    return nn.Parameter(like.new_zeros(shape))
