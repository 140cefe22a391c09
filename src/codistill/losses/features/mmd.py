"""The maximum mean discrepancy of two sets of features."""

from torch import Tensor


def mmd(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """|| mean_i a_i - mean_i b_i ||^2, the squared discrepancy under a linear kernel.

    Args:
        a: ``[P, B, F]``.
        b: the same shape.
        mask: samples that count, ``[B]`` or ``[P, B]``; a peer without any has 0.

    Returns: ``[P]``.
    """
    difference = a - b
    if mask is None:
        return difference.mean(1).square().sum(-1)
    weights = mask.to(a.dtype).expand(a.shape[:2])
    # where, not only the product: 0 * inf is nan
    total = (difference.where(weights.unsqueeze(-1) != 0, difference.new_zeros(())) * weights.unsqueeze(-1)).sum(1)
    return (total / weights.sum(1, keepdim=True).clamp(min=1e-12)).square().sum(-1)


__all__ = ["mmd"]
