"""Digits as an open set: trained on 0 to 5, searched for 6 to 9; cameras are drawn."""

import torch

from codistill.data.digits import digits
from codistill.data.examples import DataSet, Examples, Retrieval


def open_digits(root=None, *, download=False, **_):
    """Six classes to learn; of the test part every fourth picture is a query, some are junk or distractors."""
    found = digits(root)
    x, y = torch.cat([found.train.x, found.test.x]), torch.cat([found.train.y, found.test.y])
    known = y < 6
    source = torch.Generator().manual_seed(0)
    identity = y[~known].clone()
    gallery = torch.arange(len(identity)) % 4 != 0
    identity[gallery & (torch.rand(len(identity), generator=source) < 0.05)] = -1
    identity[gallery & (torch.rand(len(identity), generator=source) < 0.05)] = 0
    return DataSet(
        train=Examples(x[known], y[known]),
        test=Examples(x[~known], torch.full_like(y[~known], -1)),
        classes=6,
        task="classes",
        mean=found.mean,
        std=found.std,
        names=(),
        retrieval=Retrieval(identity, torch.randint(3, identity.shape, generator=source), ~gallery),
    )
