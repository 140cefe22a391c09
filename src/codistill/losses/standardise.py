"""Standardised logits."""

from torch import Tensor

from codistill.losses.posterior import full_precision


def standardise(z: Tensor) -> Tensor:
    """(z - mean) / (std + 1e-7) over the classes of each sample: logits ``[..., C]``, std with C - 1 in its divisor.

    What is left of them is their shape: a z + b with a > 0 gives the same, so networks of any size compare. Sun et al.,
    CVPR 2024, arXiv:2403.01427. Logits that are all alike give 0, with std = 1.
    """
    z = full_precision(z)
    if z.shape[-1] == 1:
        raise ValueError("one logit per sample has no spread over classes: give logits of two or more")
    std = z.std(-1, keepdim=True)
    return (z - z.mean(-1, keepdim=True)) / (std.where(std > 0, 1.0) + 1e-7)
