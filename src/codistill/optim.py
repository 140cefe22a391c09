"""Optimizers are torch's; learning rates are functions of progress; rates, decays and clipping are per peer."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

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


class Rates(NamedTuple):
    """The peak learning rate and the weight decay of a peer."""

    learning_rate: float
    weight_decay: float


def rates_of(run: Run) -> Rates:
    """Those of a run's peers."""
    return Rates(run.learning_rate, run.weight_decay)


def build(parameters: Iterable[Tensor], run: Run, rates: Iterable[Rates] | None = None) -> torch.optim.Optimizer:
    """The optimizer that a run names, one of torch's, with a parameter group for each rate and decay.

    Every update is elementwise, so like peers may be stacked. In its foreach form, which does the same sums for all
    parameters at once; the fused form rounds differently.

    Args:
        parameters: those that need no gradient are left out.
        run: names it.
        rates: of each parameter; None: the run's.
    """
    by_rates: dict[Rates, list[Tensor]] = {}
    for parameter, own in zip(parameters, rates or itertools.repeat(rates_of(run)), strict=False):
        if parameter.requires_grad:
            by_rates.setdefault(own, []).append(parameter)
    trained = [
        {"params": tensors, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), tensors in by_rates.items()
    ]
    if run.optimizer == "sgd":
        nesterov = run.nesterov and run.momentum > 0
        return torch.optim.SGD(trained, momentum=run.momentum, nesterov=nesterov, foreach=True)
    kind = torch.optim.Adam if run.optimizer == "adam" else torch.optim.AdamW
    return kind(trained, betas=run.betas, foreach=True)


class Divided(NamedTuple):
    """A stacked parameter in pieces that share its memory, one for each run of peers with the same rate and decay."""

    whole: Tensor
    pieces: tuple[Leaf, ...]

    def hand_out(self) -> None:
        """Give each piece its part of the gradient."""
        if self.whole.grad is None:
            return
        grads = self.whole.grad.split_with_sizes([len(piece.peers) for piece in self.pieces])
        for piece, grad in zip(self.pieces, grads, strict=True):
            piece.tensor.grad = grad


def divide(leaves: Iterable[Leaf], rates: Sequence[Rates]) -> tuple[tuple[Leaf, ...], tuple[Divided, ...]]:
    """Leaves of which each has one rate and decay, and which of them are pieces of what.

    torch's optimizers know a rate for each group of tensors and none for rows of one. A piece is updated by the same
    operations as a stack of its peers alone, so it ends bit for bit where that does.

    Args:
        leaves: of any peers.
        rates: of every peer.
    """
    single: list[Leaf] = []
    divided: list[Divided] = []
    for leaf in leaves:
        spans = [tuple(span) for _, span in itertools.groupby(leaf.peers, key=rates.__getitem__)]
        if not leaf.stacked or len(spans) == 1:
            single.append(leaf)
            continue
        rows = leaf.tensor.detach().split_with_sizes([len(span) for span in spans])
        pieces = (Leaf(span, leaf.name, row.requires_grad_(), True) for span, row in zip(spans, rows, strict=True))
        divided.append(Divided(leaf.tensor, tuple(pieces)))
    return (*single, *(piece for d in divided for piece in d.pieces)), tuple(divided)


@torch.no_grad()
def clip(
    leaves: Sequence[Leaf], peers: int, limit: float, total: Callable[[Sequence[Tensor]], None] | None = None
) -> Tensor:
    """Scale each peer's gradient to a norm of at most ``limit``; its step then does not depend on the other peers.

    Args:
        leaves: with their gradients.
        peers: of the cohort, P.
        limit: of a norm.
        total: adds up in place what several processes have of shards; None: the leaves are whole.

    Returns: the norms before, ``[P]``; a peer without a gradient has 0.
    """
    graded = [
        (leaf, grad, on_device(leaf.peers, grad.device)) for leaf in leaves if (grad := leaf.tensor.grad) is not None
    ]
    squares = graded[0][1].new_zeros(peers)
    for leaf, grad, owner in graded:
        rows = grad.reshape(len(leaf.peers), grad.numel() // len(leaf.peers))  # -1 fails where a shard is empty
        squares.index_add_(0, owner, rows.square().sum(1).to(squares.dtype))
    if total is not None:
        total([squares])
    norms = squares.sqrt()
    scale = (limit / (norms + 1e-6)).clamp(max=1.0)
    for leaf, grad, owner in graded:
        grad.mul_(scale[owner].view(-1, *[1] * (grad.dim() - 1)) if leaf.stacked else scale[owner[0]])
    return norms
