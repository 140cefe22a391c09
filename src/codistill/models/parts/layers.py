"""The parts that networks for images have in common, and where their weights start."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal

from torch import nn

MakeBlock = Callable[[int, int, int], nn.Module]  # of channels, width and stride


def conv3x3(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    """Without bias; maps keep their size at stride 1."""
    return nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)


def stages(
    channels: int, widths: Sequence[int], blocks: Sequence[int], block: MakeBlock, strides: Sequence[int] = ()
) -> dict[str, nn.Module]:
    """``stage1``, ``stage2``, ...: blocks one after another, of which the first has the stage's stride.

    Args:
        channels: what goes into stage1.
        widths: of each stage.
        blocks: how many, of each stage.
        block: makes one.
        strides: of each stage; empty: 1, then 2.
    """
    strides = strides or (1, *(2 for _ in widths[1:]))
    made: dict[str, nn.Module] = {}
    for number, (width, count, stride) in enumerate(zip(widths, blocks, strides, strict=True), start=1):
        first = block(channels, width, stride)
        made[f"stage{number}"] = nn.Sequential(first, *(block(width, width, 1) for _ in range(count - 1)))
        channels = width
    return made


def drop(dropout: float) -> nn.Module:
    """Dropout, or nothing that draws random numbers where there is none."""
    return nn.Dropout(dropout) if dropout else nn.Identity()


def pooled(width: int, classes: int, dropout: float = 0.0) -> "OrderedDict[str, nn.Module]":
    """The end of a network: pool (global average, ``[B, width]``), dropout where there is any, and fc."""
    end = OrderedDict[str, nn.Module](pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    if dropout:
        end["dropout"] = nn.Dropout(dropout)
    end["fc"] = nn.Linear(width, classes)
    return end


def kaiming(net: nn.Module, fan: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Kaiming-normal for every convolution. He et al. 2015, arXiv:1502.01852.

    Args:
        net: its other modules are left as they are.
        fan: ``fan_in`` where there are depthwise convolutions: torch counts their fan-out as if each output fed all.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=fan, nonlinearity="relu")
