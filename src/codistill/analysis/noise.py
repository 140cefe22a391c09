"""How much the training loss rises under weight noise: the wider the minimum, the less."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from codistill.analysis.loss import Batches, loss_and_accuracy, losses_at
from codistill.analysis.weights import Weights, drawn, filter_norms, weights
from codistill.statistics.interval import mean_sd


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
    scale = _root_mean_square(weights(net)) if relative else None
    each = []
    for draw in range(draws):
        eps = drawn(net, seed, "noise", draw)
        eps = {name: e * scale[name] for name, e in eps.items()} if scale else eps
        each.append(losses_at(net, batches, ({name: size * e for name, e in eps.items()} for size in sizes), task))
    by_size = list(zip(*each, strict=True))
    (loss, loss_sd), (accuracy, accuracy_sd) = (
        zip(*(_mean_sd([pair[i] for pair in pairs]) for pairs in by_size), strict=True) for i in (0, 1)
    )
    still, _ = loss_and_accuracy(net, batches, task)
    return NoiseCurve(tuple(sizes), loss, loss_sd, accuracy, accuracy_sd, draws, still)


def _root_mean_square(parameters: dict[str, nn.Parameter]) -> Weights:
    """Each filter's norm divided by the root of its size."""
    norms = filter_norms(dict(parameters))
    return {
        name: norms[name] / math.sqrt(max(1, p.numel() // max(1, norms[name].numel())))
        for name, p in parameters.items()
    }


def _mean_sd(values: list[float]) -> tuple[float, float]:
    """As `mean_sd`; nan where a loss overflowed."""
    return mean_sd(values) if all(map(math.isfinite, values)) else (math.nan, math.nan)


__all__ = ["ABSOLUTE", "RELATIVE", "NoiseCurve", "grid", "noise_curve"]
