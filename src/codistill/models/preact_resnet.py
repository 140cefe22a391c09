"""The pre-activation ResNet-18 for small images. He et al. 2016, arXiv:1603.05027."""

from collections import OrderedDict
from functools import partial
from typing import Literal, get_args

from torch import nn

from codistill.checks import one_of
from codistill.models.parts.checks import image
from codistill.models.parts.layers import conv3x3, kaiming, pooled, stages
from codistill.models.parts.preactivation import Preactivation

__all__ = ["preact_resnet18"]

Form = Literal["paper", "released"]
WIDTHS = (64, 128, 256, 512)
BLOCKS = 2


def preact_resnet18(classes: int, shape: tuple[int, ...], form: Form = "paper") -> nn.Module:
    """Pre-activation ResNet for small images, 64 to 512 channels.

    conv3x3 64; stage1 .. stage4 of 2 blocks with 64, 128, 256, 512 channels, the first of stages 2 to 4 with stride 2;
    bn, relu; pool (global average); fc. Convolutions have no bias and start Kaiming-normal (fan-out). The very first
    block's shortcut takes its activated input, as in the paper.

    Args:
        classes: number of logits.
        shape: that of one image.
        form: ``released`` is the network in the code of PS-KD and CS-KD: BN and ReLU follow the first convolution
            and not the last block, and every shortcut takes its block's activated input.

    Raises:
        ValueError: not an image's shape, or another ``form``.
    """
    return preact_resnet("preact_resnet18", WIDTHS, classes, shape, form)


def preact_resnet(name: str, widths: tuple[int, ...], classes: int, shape: tuple[int, ...], form: Form) -> nn.Module:
    """Of any widths; the layout is that of `preact_resnet18`."""
    channels, _, _ = image(name, shape)
    one_of(f"{name}: form", form, get_args(Form))
    released = form == "released"
    body = stages(widths[0], widths, [BLOCKS] * len(widths), partial(Preactivation, activated=released))
    first = body["stage1"].get_submodule("0")
    assert isinstance(first, Preactivation)
    first.activated = True  # as in the paper
    norm = OrderedDict(bn=nn.BatchNorm2d(widths[0 if released else -1]), relu=nn.ReLU())
    middle = {**norm, **body} if released else {**body, **norm}
    net = nn.Sequential(OrderedDict(conv=conv3x3(channels, widths[0]), **middle, **pooled(widths[-1], classes)))
    kaiming(net)
    return net
