"""Small networks and batches of the tests of analyses, in float64."""

import copy

import torch
from torch import nn

from small_nets import convolutional, images, several


def batches(n=12, classes=3, seed=1, parts=1):
    """Images and labels, in one batch or several."""
    x = images(n, seed=seed)
    y = torch.randint(0, classes, (n,), generator=torch.Generator().manual_seed(seed))
    return list(zip(x.chunk(parts), y.chunk(parts), strict=True))


def net(kind="c", seed=0):
    """A network with running statistics that are not those of its start, in train mode."""
    (network,) = several(kind, seed)
    with torch.no_grad():
        for number in range(3):
            network(images(20, seed=number) + 0.3)
    return network


def state(network):
    """What a network holds, copied."""
    return copy.deepcopy(network.state_dict()), [m.training for m in network.modules()]


def same(a, b):
    """Whether two states are equal bit for bit."""
    return a[1] == b[1] and a[0].keys() == b[0].keys() and all(torch.equal(a[0][k], b[0][k]) for k in a[0])


def tiny(seed=0):
    """So few weights that its Hessian can be written out."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 2), nn.Tanh(), nn.Linear(2, 3)).double()


__all__ = ["batches", "convolutional", "net", "same", "state", "tiny"]
