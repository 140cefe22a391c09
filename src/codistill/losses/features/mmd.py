"""The maximum mean discrepancy of two sets of features."""

import torch
from torch import Tensor


def mmd(a: Tensor | list[Tensor], b: Tensor | list[Tensor], mask: Tensor | None = None) -> Tensor:
    """|| mean_i a_i - mean_i b_i ||^2, the squared discrepancy under a linear kernel.

    Args:
        a: ``[P, B, F]``, or a list of P tensors ``[B, F]`` of any widths.
        b: the same shapes.
        mask: samples that count, ``[B]`` or ``[P, B]``; a peer without any has 0.

    Returns: ``[P]``.
    """
    if isinstance(a, list):
        if len({f.shape for f in a}) == 1:
            return mmd(torch.stack(a), torch.stack(list(b)), mask)
        masks = [None] * len(a) if mask is None else mask.expand(len(a), -1).unsqueeze(1)
        return torch.cat([mmd(u[None], v[None], m) for u, v, m in zip(a, b, masks, strict=True)])
    difference = a - torch.as_tensor(b)
    if mask is None:
        return difference.mean(1).square().sum(-1)
    weights = mask.to(a.dtype).expand(a.shape[:2])
    # where, not only the product: 0 * inf is nan
    total = (difference.where(weights.unsqueeze(-1) != 0, difference.new_zeros(())) * weights.unsqueeze(-1)).sum(1)
    return (total / weights.sum(1, keepdim=True).clamp(min=1e-12)).square().sum(-1)
