"""How values per sample become one value per peer."""

import torch
from torch import Tensor


def average(values: Tensor, mask: Tensor | None = None, selected: Tensor | None = None) -> Tensor:
    """Mean over everything but the peers, as a sum and a count.

    Args:
        values: ``[P, B, ...]``.
        mask: ``[B, ...]`` for all peers or ``[P, B, ...]``, how much each value counts; what is zero is left out. A
            peer with nothing to average gets 0.
        selected: booleans in the form of values: what is not selected adds 0, and is counted all the same.

    Returns: ``[P]``.
    """
    if selected is not None:
        values = values.where(selected, values.new_zeros(()))  # where, not a product: 0 * inf is nan
    if mask is None:
        return values.flatten(1).mean(1)
    if mask.dtype == torch.bool:  # the same sums with fewer operations
        mask = mask.expand_as(values)
        return values.where(mask, values.new_zeros(())).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)
    weights = mask.to(values.dtype).expand_as(values)
    total = values.where(weights != 0, values.new_zeros(())).mul(weights).flatten(1).sum(1)
    count = weights.flatten(1).sum(1)
    return total / count.where(count > 0, count.new_ones(()))
