"""Trace of the loss's Hessian, the sum of its curvatures, by Hutchinson's estimator."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
    learning = weights(net, learning=True)
    each = [drawn(net, seed, "hutchinson", probe, signs=True) for probe in range(probes)]
    each = [{name: v[name] for name in learning} for v in each]
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
    parameters = weights(net, learning=True)
    values = [0.0] * len(directions)
    with differentiable(net), _gradients_aside(net):
        for share in shares(net, batches, task):
            first = torch.autograd.grad(share, list(parameters.values()), create_graph=True, allow_unused=True)
            for number, v in enumerate(directions):
                along = _dot(first, [v[name] for name in parameters])
                if along is None or not along.requires_grad:
                    continue  # the loss is linear in the weights
                for p in parameters.values():
                    p.grad = None
                # backward, not grad, which silently skips layers that refuse a second derivative
                along.backward(retain_graph=True)  # type: ignore[no-untyped-call]
                curve = _dot([p.grad for p in parameters.values()], [v[name] for name in parameters])
                values[number] += 0.0 if curve is None else float(curve)
    return values


@contextmanager
def _gradients_aside(net: nn.Module) -> Iterator[None]:
    """Inside, the gradients that parameters hold are set aside."""
    before = [(p, p.grad) for p in net.parameters()]
    try:
        yield
    finally:
        for p, grad in before:
            p.grad = grad


def by_differences(net: nn.Module, batches: Batches, directions: list[Weights], task: str = "classes") -> list[float]:
    """v'Hv for each direction v, by gradients a little before and behind."""
    parameters = weights(net, learning=True)
    precision = max(torch.finfo(p.dtype).eps for p in parameters.values())
    size = norm(dict(parameters)) or 1.0
    values = []
    for v in directions:
        # the cube root of the precision balances what rounding and the third derivative do
        h = precision ** (1 / 3) * size / norm(v)
        ends = []
        for side in (h, -h):
            with moved(net, {name: side * each for name, each in v.items()}):
                ends.append(gradient(net, batches, task))
        values.append(sum(float(((ends[0][n] - ends[1][n]) * v[n]).double().sum()) for n in parameters) / (2 * h))
    return values


def _dot(a: Sequence[Tensor | None], b: Sequence[Tensor]) -> Tensor | None:
    """Sum of the products; None where there are none."""
    products = [(one * other).sum() for one, other in zip(a, b, strict=True) if one is not None]
    return torch.stack(products).sum() if products else None


__all__ = ["Trace", "by_autograd", "by_differences", "trace"]
