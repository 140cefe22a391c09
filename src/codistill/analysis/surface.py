"""The loss around a solution, along directions that are as long as its filters."""

from collections.abc import Sequence

import torch
from torch import nn

from codistill.analysis.loss import Batches, losses_at
from codistill.analysis.weights import Weights, drawn, filter_norms, weights

LINE = tuple(i / 10 for i in range(-10, 11))
PLANE = tuple(i / 5 for i in range(-5, 6))


def direction(net: nn.Module, seed: int = 0, axis: int = 0) -> Weights:
    """A random direction d with each filter as long as the network's: d_f ||w_f|| / ||d_f||.

    Li et al. 2018, arXiv:1712.09913. Vectors (biases, batch norm's factors) stay where they are. Networks of the same
    architecture get the same d before it is scaled.
    """
    filters = {name: p for name, p in weights(net).items() if p.dim() > 1}
    raw = {name: d for name, d in drawn(net, seed, "surface", axis).items() if name in filters}
    length, wanted = filter_norms(raw), filter_norms(filters)
    return {name: d * (wanted[name] / length[name].clamp(min=torch.finfo(d.dtype).tiny)) for name, d in raw.items()}


def line(
    net: nn.Module, batches: Batches, at: Sequence[float] = LINE, *, seed: int = 0, task: str = "classes"
) -> list[float]:
    """Mean cross-entropy at w + a d for each a, in eval mode; the weights are as before afterwards."""
    d = direction(net, seed, 0)
    moves = ({name: a * each for name, each in d.items()} for a in at)
    return [loss for loss, _ in losses_at(net, batches, moves, task)]


def plane(
    net: nn.Module, batches: Batches, at: Sequence[float] = PLANE, *, seed: int = 0, task: str = "classes"
) -> list[list[float]]:
    """Mean cross-entropy at w + a d + b e, a row for each b: `line` with a second direction e."""
    d, e = direction(net, seed, 0), direction(net, seed, 1)
    moves = ({n: a * d[n] + b * e[n] for n in d} for b in at for a in at)
    losses = [loss for loss, _ in losses_at(net, batches, moves, task)]
    return [losses[row : row + len(at)] for row in range(0, len(losses), len(at))]
