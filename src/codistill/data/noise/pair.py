"""Labels of the next class."""

import torch
from torch import Tensor

from codistill.checks import number
from codistill.data.noise import Noise, turned


def pair(rate: float) -> Noise:
    """A wrong label with this probability, that of the next class (of the last one: the first).

    As in the code of Co-teaching (Han et al., NeurIPS 2018, arXiv:1804.06872): every example draws by itself, so that
    the share of wrong labels is about ``rate``.

    Args:
        rate: From 0 to 1; from 0.5 on, wrong labels outnumber right ones.
    """
    number("noise: rate", rate, 0.0, 1.0)

    def noise(y: Tensor, classes: int, source: torch.Generator) -> Tensor:
        return turned(y, classes, rate, 1, source)

    return noise


__all__ = ["pair"]
