"""A small convolutional network for tiny images."""

from collections import OrderedDict

from torch import nn

from codistill.checks import whole
from codistill.models.parts.checks import image

__all__ = ["cnn"]

SIDE = 4  # so that batch statistics are over 2 x 2 positions at least


def cnn(classes: int, shape: tuple[int, ...], width: int = 8) -> nn.Module:
    """Three small convolutions for tiny images (8 x 8 digits): cheap, and quick as a stack.

    conv3x3 ``width`` - max-pool 2 - BN - ReLU, then twice conv3x3 ``2 width`` - BN - ReLU; global average pool;
    FC: stage1, stage2, stage3, pool, fc. The convolutions have no bias. Our own layout: only one convolution sees
    the full resolution, and pooling comes before BN and ReLU, so that these work on a quarter of the positions.
    """
    channels, _, _ = image("cnn", shape, SIDE)
    whole("cnn: width", width)
    return nn.Sequential(
        OrderedDict(
            stage1=_stage(channels, width, pool=nn.MaxPool2d(2)),
            stage2=_stage(width, 2 * width),
            stage3=_stage(2 * width, 2 * width),
            pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            fc=nn.Linear(2 * width, classes),
        )
    )


def _stage(channels: int, width: int, **after_conv: nn.Module) -> nn.Module:
    conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, **after_conv, bn=nn.BatchNorm2d(width), relu=nn.ReLU()))
