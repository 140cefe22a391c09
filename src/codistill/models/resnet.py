"""Residual networks for small images: ResNet-(6n+2). He et al. 2015, arXiv:1512.03385, section 4.2."""

from collections import OrderedDict
from functools import partial
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from codistill.checks import one_of, whole
from codistill.models.parts.checks import image
from codistill.models.parts.layers import conv3x3, kaiming, pooled, stages

__all__ = ["resnet8", "resnet20", "resnet32", "resnet56", "resnet110"]

Shortcut = Literal["a", "b"]
WIDTHS = (16, 32, 64)


def resnet8(classes: int, shape: tuple[int, ...], shortcut: Shortcut = "b", stride: int = 1) -> nn.Module:
    """ResNet for small images, 1 basic block to a stage (0.08M parameters).

    Layout: see `resnet`. The smallest of the family, for trials on a CPU: the paper begins at ResNet-20. ``stride=2``
    in the first convolution is ours: as many parameters, a quarter of the computation.
    """
    return resnet(8, classes, shape, shortcut, stride)


def resnet20(classes: int, shape: tuple[int, ...], shortcut: Shortcut = "b") -> nn.Module:
    """ResNet for small images, 3 basic blocks to a stage (0.27M parameters).

    Layout: see `resnet`.
    """
    return resnet(20, classes, shape, shortcut)


def resnet32(classes: int, shape: tuple[int, ...], shortcut: Shortcut = "b") -> nn.Module:
    """ResNet for small images, 5 basic blocks to a stage (0.47M parameters).

    Layout: see `resnet`.
    """
    return resnet(32, classes, shape, shortcut)


def resnet56(classes: int, shape: tuple[int, ...], shortcut: Shortcut = "b") -> nn.Module:
    """ResNet for small images, 9 basic blocks to a stage (0.86M parameters).

    Layout: see `resnet`.
    """
    return resnet(56, classes, shape, shortcut)


def resnet110(classes: int, shape: tuple[int, ...], shortcut: Shortcut = "b") -> nn.Module:
    """ResNet for small images, 18 basic blocks to a stage (1.7M parameters).

    Layout: see `resnet`.
    """
    return resnet(110, classes, shape, shortcut)


def resnet(depth: int, classes: int, shape: tuple[int, ...], shortcut: Shortcut, stride: int = 1) -> nn.Module:
    """A ResNet of ``depth`` = 6n + 2 layers.

    conv3x3 16 - BN - ReLU; stage1, stage2, stage3 of n basic blocks with 16, 32, 64 channels, the first of stages
    2 and 3 with stride 2; pool (global average, ``[B, 64]``); fc. Stage 3 before its last ReLU is the tap
    ``stage3.<n-1>.relu:input``. Convolutions have no bias and start Kaiming-normal (fan-out).
    We differ: where a block changes the shape, its shortcut is by default a 1x1 convolution with BN (``b``);
    the paper's on CIFAR, subsampling and channels of zeros, is ``a``.

    Raises:
        ValueError: not an image's shape, or another ``shortcut``.
    """
    name = f"resnet{depth}"
    channels, _, _ = image(name, shape)
    one_of(f"{name}: shortcut", shortcut, get_args(Shortcut))
    first, last = WIDTHS[0], WIDTHS[-1]
    blocks = [(depth - 2) // 6] * len(WIDTHS)
    body = stages(first, WIDTHS, blocks, partial(Block, shortcut=shortcut))
    whole(f"{name}: stride", stride, 1)
    stem = OrderedDict(conv=conv3x3(channels, first, stride), bn=nn.BatchNorm2d(first), relu=nn.ReLU())
    net = nn.Sequential(OrderedDict(**stem, **body, **pooled(last, classes)))
    kaiming(net)
    return net


class Block(nn.Module):
    """y = relu(bn2(conv2(relu1(bn1(conv1(x))))) + shortcut(x)); two ReLU modules, so that each can be tapped."""

    def __init__(self, channels: int, width: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(channels, width, stride, shortcut)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y)) + self.shortcut(x)
        out: Tensor = self.relu(y)
        return out


class ZeroPad(nn.Module):
    """Option A: every ``stride``-th position, and channels of zeros on both sides equally."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.before, self.after = extra // 2, extra - extra // 2
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def _shortcut(channels: int, width: int, stride: int, kind: Shortcut) -> nn.Module:
    if channels == width:
        return nn.Identity()
    if kind == "a":
        return ZeroPad(width - channels, stride)
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))
