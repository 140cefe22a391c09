"""The MNIST network of the sentiment study."""

from collections import OrderedDict

from torch import nn

from codistill.models.parts.checks import image

__all__ = ["mnist_cnn"]

WIDTHS = (10, 20)
KERNEL, POOL = 5, 2


def mnist_cnn(classes: int, shape: tuple[int, ...]) -> nn.Module:
    """Two 5x5 convolutions for MNIST (8,490 parameters).

    conv5x5 10 - max-pool 2 - ReLU - conv5x5 20 - max-pool 2 - ReLU - FC: stage1, stage2, fc; no padding.
    Source: the scripts at github.com/BM-K/-Personal-study-Deep_Mutual_Learning.
    We differ: other images are taken too, and FC is as wide as they ask for (320 for 28 x 28).
    """
    smallest = 1
    for _ in WIDTHS:
        smallest = smallest * POOL + KERNEL - 1
    channels, height, width = image("mnist_cnn", shape, smallest, instead="cnn")
    stages: dict[str, nn.Module] = {}
    for number, maps in enumerate(WIDTHS, start=1):
        conv = nn.Conv2d(channels, maps, KERNEL)
        stages[f"stage{number}"] = nn.Sequential(OrderedDict(conv=conv, pool=nn.MaxPool2d(POOL), relu=nn.ReLU()))
        channels, height, width = maps, *((side - KERNEL + 1) // POOL for side in (height, width))
    fc = nn.Linear(channels * height * width, classes)
    return nn.Sequential(OrderedDict(**stages, flatten=nn.Flatten(), fc=fc))
