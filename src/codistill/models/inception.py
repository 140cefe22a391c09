"""GoogLeNet with batch normalisation. Szegedy et al. 2014, arXiv:1409.4842."""

from collections import OrderedDict
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from codistill.checks import fraction, one_of
from codistill.models.parts.checks import image
from codistill.models.parts.layers import kaiming, pooled

__all__ = ["inception"]

Form = Literal["reid", "small"]
Kernel = Literal[3, 5]
SMALLEST = {"reid": 64, "small": 8}
DROPOUT = {"reid": 0.2, "small": 0.0}


class Widths(NamedTuple):
    """Channels of a block's branches: 1x1; 1x1 and 3x3; 1x1 and 5x5; 1x1 after the pool."""

    one: int
    before3: int
    three: int
    before5: int
    five: int
    pooled: int

    @property
    def out(self) -> int:
        """All branches'."""
        return self.one + self.three + self.five + self.pooled


FIRST = 192  # channels that the stem gives
STAGES = (
    (Widths(64, 96, 128, 16, 32, 32), Widths(128, 128, 192, 32, 96, 64)),
    (
        Widths(192, 96, 208, 16, 48, 64),
        Widths(160, 112, 224, 24, 64, 64),
        Widths(128, 128, 256, 24, 64, 64),
        Widths(112, 144, 288, 32, 64, 64),
        Widths(256, 160, 320, 32, 128, 128),
    ),
    (Widths(256, 160, 320, 32, 128, 128), Widths(384, 192, 384, 48, 128, 128)),
)


def inception(
    classes: int, shape: tuple[int, ...], form: Form = "reid", kernel: Kernel = 3, dropout: float | None = None
) -> nn.Module:
    """Nine blocks of four branches each, InceptionV1 with BN.

    stem; stage1, stage2, stage3 of 2, 5, 2 blocks, stages 2 and 3 after a max-pool 3x3 (2x2 before stage 3) with stride
    2; pool (global average); dropout; fc. Every convolution is followed by BN and ReLU, has no bias and starts
    Kaiming-normal (fan-out). No auxiliary heads.

    TF-slim's network, which the re-identification experiments of mutual learning used, differs: its padding "SAME" puts
    the odd pixel below and to the right where the stride is 2 (ours pads both sides alike, by kernel // 2), its BN has
    epsilon 0.001, no scale gamma and moving averages with decay 0.9997 (ours 1e-5, a gamma and 0.9), and its weights
    start truncated-normal (deviation 0.01).

    Args:
        classes: number of logits.
        shape: that of one image.
        form: the stem. ``reid``: conv7x7 64 with stride 2, max-pool, conv1x1 64, conv3x3 192, max-pool; 224 x 224
            images end as 7 x 7 maps. ``small``: one conv3x3 192; 32 x 32 images end as 8 x 8 maps. It has to be asked
            for: the mutual learning paper does not say what it took for 32 x 32.
        kernel: of the paper's 5x5 convolutions; 3 as in the TF-slim network that the re-identification experiments of
            mutual learning used.
        dropout: before fc; none: 0.2 for ``reid`` (kept with 0.8, as in those experiments), else 0.

    Raises:
        ValueError: not an image's shape, images too small for the form, or another value of an option.
    """
    one_of("inception: form", form, get_args(Form))
    one_of("inception: kernel", kernel, get_args(Kernel))
    dropout = fraction("inception: dropout", DROPOUT[form] if dropout is None else dropout)
    instead = "inception:form=small" if form == "reid" else "mlp"
    channels, _, _ = image(f"inception:form={form}", shape, SMALLEST[form], instead)
    stages: dict[str, nn.Module] = {}
    width = FIRST
    for number, blocks in enumerate(STAGES, start=1):
        stage = OrderedDict({"pool": _halve(3 if number == 2 else 2)} if number > 1 else {})
        for place, widths in enumerate(blocks):
            stage[f"block{place + 1}"] = Block(width, widths, kernel)
            width = widths.out
        stages[f"stage{number}"] = nn.Sequential(stage)
    end = pooled(width, classes, dropout)
    net = nn.Sequential(OrderedDict(stem=_stem(channels, form), **stages, **end))
    kaiming(net)
    return net


class Block(nn.Module):
    """Four branches, their channels one after another: 1x1; 1x1 - 3x3; 1x1 - 5x5 (or 3x3); max-pool 3x3 - 1x1."""

    def __init__(self, channels: int, widths: Widths, kernel: int) -> None:
        super().__init__()
        self.one = _conv(channels, widths.one, 1)
        self.three = nn.Sequential(_conv(channels, widths.before3, 1), _conv(widths.before3, widths.three, 3))
        self.five = nn.Sequential(_conv(channels, widths.before5, 1), _conv(widths.before5, widths.five, kernel))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _conv(channels, widths.pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], dim=1)


def _stem(channels: int, form: Form) -> nn.Module:
    if form == "small":
        return _conv(channels, FIRST, 3)
    convolutions = _conv(64, 64, 1), _conv(64, FIRST, 3)
    return nn.Sequential(_conv(channels, 64, 7, stride=2), _halve(3), *convolutions, _halve(3))


def _halve(kernel: int) -> nn.Module:
    return nn.MaxPool2d(kernel, stride=2, padding=kernel // 2 if kernel == 3 else 0)


def _conv(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(width), relu=nn.ReLU()))
