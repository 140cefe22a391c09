"""What a network makes of some examples: logits, plain cross-entropy, accuracy, gradient; always in eval mode."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from codistill.analysis.weights import Weights, evaluating, weights
from codistill.cohort.groups import call
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import full_precision, log_posterior

Batches = Sequence[tuple[Any, Tensor]]  # inputs [B, ...] and labels, as a task has them; -1 is unlabelled


def logits_of(net: nn.Module, x: Any) -> Tensor:
    """The logits of one batch, ``[B, ..., C]``, in the mode that the network is in."""
    return full_precision(call(net, None, x, ())[0])


@torch.no_grad()
def collected(net: nn.Module, batches: Batches) -> tuple[Tensor, Tensor]:
    """Logits and labels of all batches."""
    with evaluating(net):
        return torch.cat([logits_of(net, x) for x, _ in batches]), torch.cat([y for _, y in batches])


def loss_of(logits: Tensor, y: Tensor, task: str = "classes") -> Tensor:
    """Mean plain cross-entropy over the labelled samples, in nats; a scalar."""
    return cross_entropy(logits.unsqueeze(0), y, task=task)[0]


def labelled(y: Tensor, task: str = "classes") -> int:
    """How many samples (tokens) have a label."""
    return int(((y >= 0).all(-1) if task == "multilabel" else y >= 0).sum())


def decisions(logits: Tensor, y: Tensor, task: str = "classes") -> tuple[Tensor, Tensor]:
    """Every labelled decision as one among classes: log posteriors ``[n, K]`` and labels ``[n]``.

    A token is a decision of its own; so is each Bernoulli variable (binary, multilabel), one between two classes.
    """
    log_p = log_posterior(logits, task)
    log_p = log_p.reshape(-1, log_p.shape[-1])
    y = y.reshape(-1)
    return log_p[y >= 0], y[y >= 0]


def measured(net: nn.Module, batches: Batches, task: str = "classes") -> tuple[float, float]:
    """Mean cross-entropy in nats, and share of right decisions; (nan, nan) where nothing has a label."""
    logits, y = collected(net, batches)
    log_p, label = decisions(logits, y, task)
    if not len(label):
        return float("nan"), float("nan")
    return float(loss_of(logits, y, task)), float((log_p.argmax(-1) == label).double().mean())


def gradient(net: nn.Module, batches: Batches, task: str = "classes") -> tuple[float, Weights]:
    """The loss over all batches in eval mode, and its gradient by the parameters that learn."""
    found = weights(net, learning=True)
    total = sum(labelled(y, task) for _, y in batches)
    if not total:
        raise ValueError("no example has a label: a gradient of the cross-entropy needs some")
    value, sums = 0.0, {name: torch.zeros_like(p) for name, p in found.items()}
    with evaluating(net), plain_kernels(net):
        for x, y in batches:
            part = loss_of(logits_of(net, x), y, task) * (labelled(y, task) / total)
            each = torch.autograd.grad(part, list(found.values()), allow_unused=True)
            value += float(part.detach())
            for name, g in zip(found, each, strict=True):
                if g is not None:
                    sums[name] += g
    return value, sums


@contextmanager
def plain_kernels(net: nn.Module) -> Iterator[None]:
    """Inside, layers that have fused kernels use those that can be differentiated in eval mode, and twice.

    cuDNN's recurrent networks have no backward pass in eval mode, and fused attention has no second derivative.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in net.modules())
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = before and not recurrent
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cudnn.enabled = before


__all__ = ["Batches", "collected", "decisions", "gradient", "labelled", "logits_of", "loss_of", "measured"]
