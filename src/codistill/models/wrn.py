"""Wide residual networks. Zagoruyko and Komodakis 2016, arXiv:1605.07146."""

from collections import OrderedDict
from functools import partial

from torch import nn

from codistill.checks import fraction
from codistill.models.parts.checks import image
from codistill.models.parts.layers import conv3x3, kaiming, pooled, stages
from codistill.models.parts.preactivation import Preactivation

__all__ = ["wrn16_2", "wrn28_2", "wrn28_10", "wrn40_2"]

FIRST = 16
WIDTHS = (16, 32, 64)  # of the stages, times the widening


def wrn16_2(classes: int, shape: tuple[int, ...], dropout: float = 0.0) -> nn.Module:
    """Wide ResNet for small images, 2 blocks to a stage, twice as wide.

    Layout: see `wrn`.
    """
    return wrn(16, 2, classes, shape, dropout)


def wrn28_2(classes: int, shape: tuple[int, ...], dropout: float = 0.0) -> nn.Module:
    """Wide ResNet for small images, 4 blocks to a stage, twice as wide.

    Layout: see `wrn`.
    """
    return wrn(28, 2, classes, shape, dropout)


def wrn28_10(classes: int, shape: tuple[int, ...], dropout: float = 0.0) -> nn.Module:
    """Wide ResNet for small images, 4 blocks to a stage, ten times as wide.

    Layout: see `wrn`.
    """
    return wrn(28, 10, classes, shape, dropout)


def wrn40_2(classes: int, shape: tuple[int, ...], dropout: float = 0.0) -> nn.Module:
    """Wide ResNet for small images, 6 blocks to a stage, twice as wide.

    Layout: see `wrn`.
    """
    return wrn(40, 2, classes, shape, dropout)


def wrn(depth: int, wide: int, classes: int, shape: tuple[int, ...], dropout: float) -> nn.Module:
    """A WRN-``depth``-``wide``, of depth 6n + 4.

    conv3x3 16; stage1, stage2, stage3 of n pre-activation blocks with 16, 32, 64 times ``wide`` channels, the first
    of stages 2 and 3 with stride 2; bn, relu; pool (global average); fc. Between a block's convolutions there may be
    dropout. Convolutions have no bias and start Kaiming-normal (fan-out).

    Raises:
        ValueError: not an image's shape, or a ``dropout`` that is none.
    """
    name = f"wrn{depth}_{wide}"
    channels, _, _ = image(name, shape)
    fraction(f"{name}: dropout", dropout)
    widths = [width * wide for width in WIDTHS]
    body = stages(FIRST, widths, [(depth - 4) // 6] * len(widths), partial(Preactivation, dropout=dropout))
    end = OrderedDict(bn=nn.BatchNorm2d(widths[-1]), relu=nn.ReLU(), **pooled(widths[-1], classes))
    net = nn.Sequential(OrderedDict(conv=conv3x3(channels, FIRST), **body, **end))
    kaiming(net)
    return net
