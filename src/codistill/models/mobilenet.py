"""MobileNet, version 1. Howard et al. 2017, arXiv:1704.04861."""

from collections import OrderedDict
from typing import Literal, get_args

from torch import nn

from codistill.checks import fraction, number, one_of
from codistill.models.parts.checks import image
from codistill.models.parts.layers import conv3x3, kaiming, pooled, stages

__all__ = ["mobilenet"]

Form = Literal["small", "small4", "reid"]
FIRST = 32
WIDTHS, BLOCKS = (64, 128, 256, 512, 1024), (1, 2, 2, 6, 2)  # of the stages
STRIDES = {"small": (1, 1, 2, 2, 2, 2), "small4": (1, 1, 1, 2, 2, 2), "reid": (2, 1, 2, 2, 2, 2)}
SMALLEST = {"small": 1, "small4": 1, "reid": 64}
DROPOUT = {"small": 0.0, "small4": 0.0, "reid": 0.001}


def mobilenet(
    classes: int, shape: tuple[int, ...], form: Form = "small", dropout: float | None = None, width: float = 1.0
) -> nn.Module:
    """Depthwise-separable convolutions, MobileNetV1 1.0.

    conv3x3 32 - BN - ReLU (stem); 13 blocks of depthwise 3x3 - BN - ReLU - pointwise 1x1 - BN - ReLU with 64, 128 x 2,
    256 x 2, 512 x 6, 1024 x 2 channels: stage1 .. stage5; pool (global average); dropout; fc. Convolutions have no
    bias and start Kaiming-normal (fan-in).

    TF-slim's network, which the re-identification experiments of mutual learning used, differs: its padding "SAME" puts
    the odd pixel below and to the right where the stride is 2 (ours pads both sides by 1), its BN has epsilon 0.001 and
    moving averages with decay 0.9997 (ours 1e-5 and 0.9; both have a gamma), its ReLU is capped at 6, and its weights
    start truncated-normal (deviation 0.09).

    Args:
        classes: number of logits.
        shape: that of one image.
        form: where maps are halved; the parameters are the same. ``reid``: in the stem and at stages 2 to 5, so
            224 x 224 images end as 7 x 7 maps, as in the re-identification experiments of mutual learning.
            ``small``: not in the stem, 32 x 32 ends as 2 x 2. ``small4``: nor at stage 2, 32 x 32 ends as 4 x 4.
            The mutual learning paper does not say which it took for 32 x 32: small is our choice.
        dropout: before fc; none: 0.001 for ``reid`` (kept with 0.999, as in those experiments), else 0.
        width: the paper's multiplier of all widths: 1, 0.75, 0.5 or 0.25 there.

    Raises:
        ValueError: not an image's shape, images too small for the form, or another value of an option.
    """
    one_of("mobilenet: form", form, get_args(Form))
    dropout = fraction("mobilenet: dropout", DROPOUT[form] if dropout is None else dropout)
    channels, _, _ = image(f"mobilenet:form={form}", shape, SMALLEST[form], instead="mobilenet:form=small")
    first, *strides = STRIDES[form]
    number("mobilenet: width", width, 1 / 32, above=True)
    start, *widths = (max(1, round(width * maps)) for maps in (FIRST, *WIDTHS))
    body = stages(start, widths, BLOCKS, _block, strides)
    stem = OrderedDict(conv=conv3x3(channels, start, first), bn=nn.BatchNorm2d(start), relu=nn.ReLU())
    end = pooled(widths[-1], classes, dropout)
    net = nn.Sequential(OrderedDict(stem=nn.Sequential(stem), **body, **end))
    kaiming(net, "fan_in")
    return net


def _block(channels: int, width: int, stride: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            depthwise=nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False),
            bn1=nn.BatchNorm2d(channels),
            relu1=nn.ReLU(),
            pointwise=nn.Conv2d(channels, width, 1, bias=False),
            bn2=nn.BatchNorm2d(width),
            relu2=nn.ReLU(),
        )
    )
