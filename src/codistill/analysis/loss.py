"""One network's plain cross-entropy on some examples, its accuracy and its gradient; always in eval mode."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from codistill.analysis.weights import Weights, moved, weights
from codistill.cohort import Cohort
from codistill.cohort.collection import collect
from codistill.cohort.groups import call
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import full_precision
from codistill.metrics.accuracy import correct
from codistill.metrics.decisions import class_logits, labelled_decisions
from codistill.models.parts.mode import evaluating

Batches = Sequence[tuple[Any, Tensor]]  # inputs [B, ...] and labels, as a task has them; -1 is unlabelled


def batch_logits(net: nn.Module, x: Any) -> Tensor:
    """The logits of one batch, ``[B, ..., C]``, with their gradients, in the mode that the network is in."""
    return full_precision(call(net, None, x, ())[0])


def mean_loss(logits: Tensor, y: Tensor, task: str = "classes") -> Tensor:
    """Mean plain cross-entropy over the labelled samples, in nats; a scalar."""
    return cross_entropy(logits.unsqueeze(0), y, task=task)[0]


def labelled(y: Tensor, task: str = "classes") -> int:
    """How many samples (tokens) have a label."""
    return int(((y >= 0).all(-1) if task == "multilabel" else y >= 0).sum())


def decided(net: nn.Module, batches: Batches, task: str = "classes") -> tuple[float, Tensor, Tensor]:
    """Mean cross-entropy in nats, and the labelled decisions: their logits ``[n, M]`` and labels ``[n]``."""
    logits, y = collect(Cohort([net]), (x for x, _ in batches))[0], torch.cat([y for _, y in batches])
    flat, labels = labelled_decisions(class_logits(logits, task), y)
    return float(mean_loss(logits, y, task)) if len(labels) else math.nan, flat, labels


def loss_and_accuracy(net: nn.Module, batches: Batches, task: str = "classes") -> tuple[float, float]:
    """Mean cross-entropy in nats, and share of right decisions; (nan, nan) where nothing has a label."""
    loss, flat, labels = decided(net, batches, task)
    return loss, float(correct(flat, labels).double().mean())


def losses_at(net: nn.Module, batches: Batches, moves: Iterable[Weights], task: str = "classes") -> list[list[float]]:
    """`loss_and_accuracy` at w + each of the moves; the weights are as before afterwards."""
    values = []
    for by in moves:
        with moved(net, by):
            values.append(list(loss_and_accuracy(net, batches, task)))
    return values


def shares(net: nn.Module, batches: Batches, task: str = "classes") -> Iterator[Tensor]:
    """What each batch contributes to the mean loss over all, with its gradients.

    Raises:
        ValueError: no example has a label.
    """
    total = sum(labelled(y, task) for _, y in batches)
    if not total:
        raise ValueError("no example has a label: derivatives of the cross-entropy need some")
    for x, y in batches:
        yield mean_loss(batch_logits(net, x), y, task) * (labelled(y, task) / total)


def gradient(net: nn.Module, batches: Batches, task: str = "classes") -> Weights:
    """The gradient of the loss over all batches in eval mode, by the parameters that learn.

    Raises:
        ValueError: no example has a label.
    """
    parameters = weights(net, learning=True)
    sums = {name: torch.zeros_like(p) for name, p in parameters.items()}
    with differentiable(net):
        for share in shares(net, batches, task):
            each = torch.autograd.grad(share, list(parameters.values()), materialize_grads=True)
            for name, g in zip(parameters, each, strict=True):
                sums[name] += g
    return sums


@contextmanager
def differentiable(net: nn.Module) -> Iterator[None]:
    """Inside, the network is in eval mode, and layers use kernels that can be differentiated there, and twice.

    cuDNN's recurrent networks have no backward pass in eval mode, and fused attention has no second derivative.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in net.modules())
    kernels = torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
    with kernels, evaluating(net), sdpa_kernel(SDPBackend.MATH):
        yield
