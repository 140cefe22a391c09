"""How values per sample become one value per peer."""

from torch import Tensor


def average(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over everything but the peers, as a sum and a count.

    Args:
        values: ``[P, B, ...]``.
        mask: ``[B, ...]`` for all peers or ``[P, B, ...]``, how much each value counts; what is zero is left out. A
            peer with nothing to average gets 0.

    Returns: ``[P]``.
    """
    if mask is None:
        return values.flatten(1).mean(1)
    weights = mask.to(values.dtype).expand_as(values)
    # where, not only the product: 0 * inf is nan
    total = values.where(weights != 0, values.new_zeros(())).mul(weights).flatten(1).sum(1)
    count = weights.flatten(1).sum(1)
    return total / count.where(count > 0, count.new_ones(()))
