"""KL divergences."""

import torch
from torch import Tensor

from codistill.losses.divergence import Divergence


def relative_entropy(q: Tensor, p: Tensor) -> Tensor:
    """KL(q || p) = sum_m q_m (log q_m - log p_m) from log-probabilities ``[..., C]``; a term with q_m = 0 is 0."""
    difference = (q - p).where(q > -torch.inf, q.new_zeros(()))
    return (q.exp() * difference).sum(-1)


class KL(Divergence):
    """KL(source || student), the paper's: the peer comes first. Zhang et al. 2018, arXiv:1706.00384."""

    linear = True

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        return relative_entropy(source, student)


class ReverseKL(Divergence):
    """KL(student || source): the student seeks one of the source's modes."""

    one_hot = False

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        return relative_entropy(student, source)


class SymmetricKL(Divergence):
    """(KL(source || student) + KL(student || source)) / 2."""

    one_hot = False

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        return 0.5 * (relative_entropy(source, student) + relative_entropy(student, source))


kl = KL()
reverse_kl = ReverseKL()
symmetric_kl = SymmetricKL()

__all__ = ["kl", "reverse_kl", "symmetric_kl"]
