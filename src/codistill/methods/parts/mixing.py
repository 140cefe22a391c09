"""Peers that are mixed without a graph, block by block: logits ``[blocks, P / blocks, B, C]``."""

import math

import torch
from torch import Tensor, nn

from codistill.batch import Batch
from codistill.cohort import Outputs
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import full_precision


def split(values: Tensor, blocks: int) -> Tensor:
    """``[P, ...]`` -> ``[blocks, P / blocks, ...]``."""
    return values.reshape(blocks, -1, *values.shape[1:])


def spread(values: Tensor, peers: int) -> Tensor:
    """What each block has for all its peers: ``[blocks, ...]`` -> ``[P, ...]``."""
    return values.repeat_interleave(peers // len(values), 0)


def others(values: Tensor, blocks: int) -> Tensor:
    """Of each peer, the mean over the other peers of its block: ``[P, ...]`` -> ``[P, ...]``."""
    each = split(values, blocks)
    return ((each.sum(1, keepdim=True) - each) / (each.shape[1] - 1)).flatten(0, 1)


def ensemble_loss(z: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of what each block predicts together, logits ``[blocks, B, C]``: ``[blocks]``."""
    y = once(batch.y, 2 if batch.task in ("tokens", "multilabel") else 1, len(z))
    mask = None if batch.mask is None else once(batch.mask, 2 if batch.task == "tokens" else 1, len(z))
    return cross_entropy(z, y, task=batch.task, mask=mask, smoothing=batch.smoothing)


def once(values: Tensor, dims: int, blocks: int) -> Tensor:
    """Labels of ``dims`` dims as they are, or those of each block's first peer where they have a peer dim besides."""
    return values if values.dim() == dims else split(values, blocks)[:, 0]


def feature_of(outputs: Outputs, name: str) -> list[Tensor]:
    """Every peer's feature ``[B, F]``, of maps the mean over their positions, in float32 at least."""
    return [full_precision(f.flatten(2).mean(2) if f.dim() > 2 else f) for f in outputs.features[name]]


def linear(*shape: int, like: Tensor) -> nn.Parameter:
    """A weight ``[..., out, in]`` as `nn.Linear` starts it, in a feature's dtype and on its device."""
    bound = 1.0 / math.sqrt(shape[-1])
    return nn.Parameter(torch.empty(shape, dtype=like.dtype, device=like.device).uniform_(-bound, bound))
