"""The architectures of `codistill.models` at a size for tests."""

from collections import OrderedDict

from torch import nn

from codistill.models.inception import Block, Widths
from codistill.models.mobilenet import _block
from codistill.models.parts.layers import kaiming, pooled, stages
from codistill.models.preact_resnet import preact_resnet
from codistill.models.vit import vit
from codistill.models.wrn import wrn

BRANCHES = Widths(2, 3, 4, 2, 3, 5)


def paper(classes, shape):
    return preact_resnet("paper", (4, 6, 8), classes, shape, "paper")


def released(classes, shape):
    return preact_resnet("released", (4, 6, 8), classes, shape, "released")


def wide(classes, shape):
    return wrn(16, 1, classes, shape, 0.0)


def mobile(classes, shape):
    return ended(stages(shape[0], (6, 8), (2, 1), _block, strides=(2, 1)), 8, classes)


def branched(classes, shape):
    blocks = {"stage1": Block(shape[0], BRANCHES, 5), "stage2": Block(BRANCHES.out, BRANCHES, 3)}
    return ended(blocks, BRANCHES.out, classes)


def transformer(classes, shape):
    return vit(12, 3, (1, 2), classes, shape, 4, 0.0)


def ended(body, width, classes):
    net = nn.Sequential(OrderedDict(**body, **pooled(width, classes)))
    kaiming(net, "fan_in")
    return net
