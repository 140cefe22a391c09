"""The loss on the straight line from one peer's weights to another's."""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from codistill.analysis.loss import Batches, batch_logits, loss_and_accuracy
from codistill.cohort import alike

PATH = tuple(i / 10 for i in range(11))


@torch.no_grad()
def path(
    one: nn.Module, other: nn.Module, batches: Batches, at: Sequence[float] = PATH, *, task: str = "classes"
) -> list[float]:
    """Mean cross-entropy at (1 - t) w_one + t w_other for each t; both networks stay as they are.

    Batch norm's statistics fit no mean of weights, so they are measured again on these batches at every t, the ends
    included.

    Raises:
        ValueError: networks of different architectures, which have no weights in between.
    """
    if not alike(one, other):
        raise ValueError(
            f"a {type(one).__name__} and a {type(other).__name__} of another architecture have no weights in between: "
            "give two networks of the same architecture"
        )
    net = copy.deepcopy(one)
    losses = []
    for t in at:
        for p, start, end in zip(net.parameters(), one.parameters(), other.parameters(), strict=True):
            if p.is_floating_point():
                p.copy_(torch.lerp(start, end, t))
        measure_statistics(net, batches)
        losses.append(loss_and_accuracy(net, batches, task)[0])
    return losses


@torch.no_grad()
def measure_statistics(net: nn.Module, batches: Batches) -> None:
    """Set batch norm's running statistics to the mean of those of the batches.

    Not by `torch.optim.swa_utils.update_bn`: it puts the whole network into train mode, so dropout would draw.
    """
    norms = {m: m.momentum for m in net.modules() if isinstance(m, _BatchNorm) and m.track_running_stats}
    if not norms:
        return
    net.eval()
    for m in norms:
        m.reset_running_stats()
        m.momentum = None  # a plain mean over the batches
        m.train()
    for x, _ in batches:
        batch_logits(net, x)
    for m, momentum in norms.items():
        m.momentum = momentum
        m.eval()
