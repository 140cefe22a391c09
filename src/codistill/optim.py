"""Optimizers are torch's; learning rates are functions of progress; clipping is per peer."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from codistill.checks import fraction
from codistill.cohort.groups import Leaf, on_device
from codistill.discovery import construct
from codistill.run import Run
from codistill.schedules import Schedule
from codistill.spec import Spec


def schedule(spec: str | Spec, warmup: float = 0.0) -> Schedule:
    """A factor of the learning rate as a function of progress.

    Args:
        spec: ``step:at=0.3/0.6/0.9,by=0.1``, ``cosine``, ``linear:floor=0.1``, ``constant``.
        warmup: the fraction of training in which the rate rises linearly to its value; the schedule runs on beneath.

    Raises:
        UnknownName: no such schedule or option, with the nearest that exist.
        ValueError: an invalid value.
    """
    fraction("warmup", warmup)
    factor = construct("codistill.schedules", spec)
    return lambda progress: factor(progress) * (min(progress / warmup, 1.0) if warmup else 1.0)


def build(parameters: Iterable[Tensor], run: Run) -> torch.optim.Optimizer:
    """The optimizer that a run names, one of torch's. Every update is elementwise, so like peers may be stacked.

    In its foreach form, which does the same sums for all parameters at once; the fused form rounds differently.
    """
    trained = [p for p in parameters if p.requires_grad]
    rate, decay = run.learning_rate, run.weight_decay
    if run.optimizer == "sgd":
        nesterov = run.nesterov and run.momentum > 0
        return torch.optim.SGD(
            trained, lr=rate, momentum=run.momentum, nesterov=nesterov, weight_decay=decay, foreach=True
        )
    kind = torch.optim.Adam if run.optimizer == "adam" else torch.optim.AdamW
    return kind(trained, lr=rate, betas=run.betas, weight_decay=decay, foreach=True)


@torch.no_grad()
def clip(leaves: Sequence[Leaf], peers: int, limit: float) -> Tensor:
    """Scale each peer's gradient to a norm of at most ``limit``; its step then does not depend on the other peers.

    Returns: the norms before, ``[P]``; a peer without a gradient has 0.
    """
    graded = [
        (leaf, grad, on_device(leaf.peers, grad.device)) for leaf in leaves if (grad := leaf.tensor.grad) is not None
    ]
    squares = graded[0][1].new_zeros(peers)
    for leaf, grad, owner in graded:
        squares.index_add_(0, owner, grad.reshape(len(leaf.peers), -1).square().sum(1).to(squares.dtype))
    norms = squares.sqrt()
    scale = (limit / (norms + 1e-6)).clamp(max=1.0)
    for leaf, grad, owner in graded:
        grad.mul_(scale[owner].view(-1, *[1] * (grad.dim() - 1)) if leaf.stacked else scale[owner[0]])
    return norms
