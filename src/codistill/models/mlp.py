"""Fully connected networks."""

from collections import OrderedDict
from math import prod

from torch import nn

from codistill.checks import whole

__all__ = ["mlp"]


def mlp(classes: int, shape: tuple[int, ...], hidden: int = 64, layers: int = 2) -> nn.Module:
    """Fully connected, for examples of any shape.

    flatten - (linear ``hidden`` - ReLU) x ``layers`` - linear ``classes``: stage1 .. stage<layers>, fc.
    """
    whole("mlp: hidden", hidden), whole("mlp: layers", layers)
    widths = [prod(shape), *[hidden] * layers]
    stages = {
        f"stage{i}": nn.Sequential(OrderedDict(linear=nn.Linear(widths[i - 1], widths[i]), relu=nn.ReLU()))
        for i in range(1, len(widths))
    }
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), **stages, fc=nn.Linear(hidden, classes)))
