"""Trace of the loss's Hessian, the sum of its curvatures, by Hutchinson's estimator."""

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn

from codistill.analysis.loss import Batches, differentiable, gradient, shares
from codistill.analysis.weights import Weights, drawn, moved, norm, weights
from codistill.statistics.interval import mean_sd


@dataclass(frozen=True)
class Trace:
    """An estimate.

    Attributes:
        mean: over the probes.
        error: its standard error, sd / sqrt(probes).
        probes: how many.
        how: ``autograd``, or ``finite differences`` where a layer cannot be differentiated twice.
        why: what the layer said then.
    """

    mean: float
    error: float
    probes: int
    how: str
    why: str = ""


def trace(net: nn.Module, batches: Batches, *, probes: int = 10, seed: int = 0, task: str = "classes") -> Trace:
    """tr(H) = E[v'Hv], v of random signs; H of the mean cross-entropy in eval mode, by the parameters that learn.

    Networks of the same architecture get the same probes. Where a layer has no second derivative, v'Hv comes from
    differences of gradients, (g(w + hv) - g(w - hv)) / 2h.

    Raises:
        ValueError: fewer than 2 probes; no parameter learns; no label.
    """
    if probes < 2:
        raise ValueError(f"probes={probes}: give at least 2, so that there is a standard error (10 or more is better)")
    each = [drawn(net, seed, "hutchinson", probe, signs=True) for probe in range(probes)]
    how, why = "autograd", ""
    try:
        values = by_autograd(net, batches, each, task)
    except (RuntimeError, NotImplementedError) as error:
        how, why = "finite differences", (str(error).splitlines() or [type(error).__name__])[0]
        values = by_differences(net, batches, each, task)
    mean, sd = mean_sd(values)
    return Trace(mean, sd / math.sqrt(probes), probes, how, why)


def by_autograd(net: nn.Module, batches: Batches, directions: list[Weights], task: str = "classes") -> list[float]:
    """v'Hv for each direction v, by differentiating twice.

    Raises:
        RuntimeError: a layer has no second derivative.
    """
    net = copy.deepcopy(net)  # the gradients that parameters hold stay as they are
    parameters = weights(net, learning=True)
    values = [0.0] * len(directions)
    with differentiable(net):
        for share in shares(net, batches, task):
            first = torch.autograd.grad(share, list(parameters.values()), create_graph=True, materialize_grads=True)
            for number, v in enumerate(directions):
                along = torch.stack([(g * v[n]).sum() for n, g in zip(parameters, first, strict=True)]).sum()
                if not along.requires_grad:
                    continue  # the loss is linear in the weights
                net.zero_grad()
                # backward, not grad, which silently skips layers that refuse a second derivative
                along.backward(retain_graph=True)  # type: ignore[no-untyped-call]
                values[number] += sum(float((p.grad * v[n]).sum()) for n, p in parameters.items() if p.grad is not None)
    return values


def by_differences(net: nn.Module, batches: Batches, directions: list[Weights], task: str = "classes") -> list[float]:
    """v'Hv for each direction v, by gradients a little before and behind."""
    parameters = weights(net, learning=True)
    precision = max(torch.finfo(p.dtype).eps for p in parameters.values())
    size = norm(parameters) or 1.0
    values = []
    for direction in directions:
        v = {name: direction[name] for name in parameters}
        # the cube root of the precision balances what rounding and the third derivative do
        h = precision ** (1 / 3) * size / norm(v)
        ends = []
        for side in (h, -h):
            with moved(net, {name: side * each for name, each in v.items()}):
                ends.append(gradient(net, batches, task))
        values.append(sum(float(((ends[0][n] - ends[1][n]) * v[n]).double().sum()) for n in parameters) / (2 * h))
    return values
