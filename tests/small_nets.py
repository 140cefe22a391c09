"""Small networks of the tests of cohorts."""

from types import SimpleNamespace

import torch
from torch import nn


def convolutional(classes=3):
    """With batch norm in two places and an in-place activation."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 6),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Linear(6, classes),
    )


def linear(classes=3):
    """Another architecture for the same inputs."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.BatchNorm1d(5), nn.Linear(5, classes))


def several(kinds="ccc", seed=0):
    """Networks by letter: c(onvolutional) or l(inear), in float64."""
    torch.manual_seed(seed)
    return [{"c": convolutional, "l": linear}[kind]().double() for kind in kinds]


def images(*shape, seed=0):
    """Inputs [*shape, 1, 4, 4]."""
    return torch.randn(*shape, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Twice(nn.Module):
    """Runs its activation twice."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.act, self.unused = nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)

    def forward(self, x):
        return self.two(self.act(self.act(self.one(x)) - 0.1))


class Pair(nn.Module):
    """Takes two inputs, by position or by keyword, and answers with an object."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(2, 3)

    def forward(self, left, right):
        return SimpleNamespace(logits=self.a(left) + self.b(right))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


class Scaled(nn.Module):
    """With a setting that neither its parameters nor its repr show."""

    def __init__(self, factor):
        super().__init__()
        self.factor, self.layer = factor, nn.Linear(4, 3)

    def forward(self, x):
        return self.factor * self.layer(x)
