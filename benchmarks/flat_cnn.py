"""The `cnn` with its last feature map flattened, where it takes the mean: is that mean why DML fails on skewed silos?

    PYTHONPATH=benchmarks codistill compare --recipe silos_skewed --models flat_cnn:flat \\
        --methods alone dml:ramp=0.3 --seeds 5 --name silos_skewed_flat
"""

import torch
from torch import nn

from codistill.models.cnn import cnn


def flat(classes: int, shape: tuple[int, ...]) -> nn.Module:
    """Convolutions and batch normalisation of `cnn`; the last layer reads every position of every channel."""
    net = cnn(classes, shape)
    net.pool = nn.Flatten()
    with torch.no_grad():
        features = nn.Sequential(*list(net.children())[:-1]).eval()(torch.zeros(1, *shape))
    net.fc = nn.Linear(features.shape[1], classes)
    return net
