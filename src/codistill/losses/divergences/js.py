"""The Jensen-Shannon divergence."""

import math

import torch
from torch import Tensor

from codistill.losses.divergence import Divergence
from codistill.losses.divergences.kl import relative_entropy


class JS(Divergence):
    """(KL(source || m) + KL(student || m)) / 2 with m = (source + student) / 2; between 0 and log 2."""

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        middle = torch.logaddexp(source, student) - math.log(2.0)
        return 0.5 * (relative_entropy(source, middle) + relative_entropy(student, middle))


js = JS()

__all__ = ["js"]
