"""Peers that are mixed without a graph, and what they predict together."""

import math

import torch
from torch import Tensor, nn

from codistill.batch import Batch
from codistill.cohort import Outputs
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import full_precision


def ensemble_loss(z: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of what peers predict together, logits ``[B, C]``: a scalar."""
    y = once(batch.y, 2 if batch.task in ("tokens", "multilabel") else 1)
    mask = None if batch.mask is None else once(batch.mask, 2 if batch.task == "tokens" else 1)
    return cross_entropy(z[None], y, task=batch.task, mask=mask, smoothing=batch.smoothing)[0]


def once(values: Tensor, dims: int) -> Tensor:
    """Labels of ``dims`` dims as they are, or the first peer's where they have a peer dim besides."""
    return values if values.dim() == dims else values[0]


def feature_of(outputs: Outputs, name: str) -> list[Tensor]:
    """Every peer's feature ``[B, F]``, of maps the mean over their positions, in float32 at least."""
    return [full_precision(f.flatten(2).mean(2) if f.dim() > 2 else f) for f in outputs.features[name]]


def linear(*shape: int, like: Tensor) -> nn.Parameter:
    """A weight ``[..., out, in]`` as `nn.Linear` starts it, in a feature's dtype and on its device."""
    bound = 1.0 / math.sqrt(shape[-1])
    return nn.Parameter(torch.empty(shape, dtype=like.dtype, device=like.device).uniform_(-bound, bound))
