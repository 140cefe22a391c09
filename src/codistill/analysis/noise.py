"""How much the training loss rises under weight noise: the wider the minimum, the less."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from codistill.analysis.loss import Batches, loss_and_accuracy, losses_at
from codistill.analysis.weights import drawn, filter_norms, weights


def grid(low: float, high: float, points: int = 9) -> tuple[float, ...]:
    """Sizes from low to high, each a constant factor above the one before."""
    return tuple(low * (high / low) ** (i / (points - 1)) for i in range(points))


ABSOLUTE = grid(1e-3, 1e-1)
RELATIVE = grid(0.01, 0.5)


@dataclass(frozen=True)
class NoiseCurve:
    """Losses and accuracies under noise; means and standard deviations (n - 1) are over the draws.

    Attributes:
        sizes: of the noise, sigma.
        loss: mean cross-entropy at each size, in nats.
        loss_sd: its spread.
        accuracy: share of right decisions.
        accuracy_sd: its spread.
        draws: how many.
        still: the loss without noise.
    """

    sizes: tuple[float, ...]
    loss: tuple[float, ...]
    loss_sd: tuple[float, ...]
    accuracy: tuple[float, ...]
    accuracy_sd: tuple[float, ...]
    draws: int
    still: float


def noise_curve(
    net: nn.Module,
    batches: Batches,
    sizes: Sequence[float] = ABSOLUTE,
    *,
    relative: bool = False,
    draws: int = 5,
    seed: int = 0,
    task: str = "classes",
) -> NoiseCurve:
    """w' = w + sigma eps for every parameter, eps ~ N(0, 1), in eval mode; the weights are as before afterwards.

    Relative: w' = w + sigma ||w_f|| / sqrt(n_f) eps for each filter f of n_f numbers, so that the noise is on average
    sigma times as long as the filter. It does not change when a filter that batch norm follows is scaled.

    Args:
        net: any network; batch norm's running statistics stay what they are.
        batches: inputs and labels.
        sizes: sigma.
        relative: to the norm of each filter (of each number by itself in biases and batch norm's factors).
        draws: of eps, at least 2; the same for all sizes, and for all networks of the same architecture.
        seed: of the draws.
        task: see `cross_entropy`.

    Zhang et al. 2018, section 3.6, who do not say their sizes: these are ours.
    """
    if draws < 2:
        raise ValueError(f"draws={draws}: give at least 2, so that there is a spread (5 or more is better)")
    norms = filter_norms(weights(net))
    scale = {n: norms[n] * math.sqrt(norms[n].numel() / max(1, p.numel())) for n, p in weights(net).items()}
    each = []
    for draw in range(draws):
        eps = drawn(net, seed, "noise", draw)
        if relative:
            eps = {name: e * scale[name] for name, e in eps.items()}
        each.append(losses_at(net, batches, ({name: size * e for name, e in eps.items()} for size in sizes), task))
    spreads = torch.std_mean(torch.tensor(each, dtype=torch.float64), dim=0)  # of loss and accuracy, by size
    (loss_sd, accuracy_sd), (loss, accuracy) = ([tuple(v) for v in values.T.tolist()] for values in spreads)
    still, _ = loss_and_accuracy(net, batches, task)
    return NoiseCurve(tuple(sizes), loss, loss_sd, accuracy, accuracy_sd, draws, still)
