"""The Renyi divergence."""

import math

import torch
from torch import Tensor

from codistill.losses.divergence import Divergence
from codistill.losses.divergences.kl import relative_entropy


class Renyi(Divergence):
    """R_a(source || student) = log(sum_m q_m^a p_m^(1-a)) / (a - 1); a = 1 is KL. Renyi-DML, ECML 2023.

    q is the source's posterior, p the student's. A class that the source excludes adds nothing.

    Args:
        alpha: a > 0; 0.5 to 2 were tried (parklize/rdml).
    """

    def __init__(self, alpha: float = 0.5) -> None:
        if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < math.inf:
            raise ValueError(f"alpha={alpha!r}: give a number above 0")
        self.alpha = float(alpha)

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        if self.alpha == 1.0:
            return relative_entropy(source, student)
        each = self.alpha * source + (1.0 - self.alpha) * student
        each = each.where(source > -torch.inf, -torch.inf)  # not -inf + inf where the student excludes it too
        return each.logsumexp(-1) / (self.alpha - 1.0)


__all__ = ["Renyi"]
