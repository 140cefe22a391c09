"""Labels of any other class."""

import torch
from torch import Tensor

from codistill.checks import number
from codistill.data.noise import Noise, turned


def symmetric(rate: float) -> Noise:
    """A wrong label with this probability, any of the other classes, all equally probable.

    As in the code of Co-teaching (Han et al., NeurIPS 2018, arXiv:1804.06872): every example draws by itself, so that
    the share of wrong labels is about ``rate``, and a wrong label is never the right one by chance.

    Args:
        rate: From 0 to 1.
    """
    number("noise: rate", rate, 0.0, 1.0)

    def noise(y: Tensor, classes: int, source: torch.Generator) -> Tensor:
        steps = torch.randint(1, classes, (len(y),), generator=source).to(y.device)
        return turned(y, classes, rate, steps, source)

    return noise


__all__ = ["symmetric"]
