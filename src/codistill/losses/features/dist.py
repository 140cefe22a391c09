"""Distance by correlation: between and within classes."""

import torch
from torch import Tensor

from codistill.losses.average import average
from codistill.losses.posterior import log_posterior


def correlation_distance(a: Tensor, b: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - Pearson's correlation along the last dim: ``[..., N]`` of both to ``[...]``.

    Where one of them is constant there is no correlation: 1, or 0 where both are, and no gradient.

    Args:
        a: values.
        b: values.
        weights: how much each of the N counts, ``[..., N]``.
    """
    w = torch.ones_like(a) if weights is None else weights.to(a.dtype).expand_as(a)
    count = w.sum(-1, keepdim=True)
    w = w / count.where(count > 0, 1.0)

    def centred(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Without its mean, the variance, and whether x is constant."""
        x = x / x.detach().abs().amax(-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)  # squares underflow
        c = x - (w * x).sum(-1, keepdim=True)
        variance = (w * c * c).sum(-1)
        constant = variance <= (8 * torch.finfo(x.dtype).eps) ** 2 * (w * x * x).sum(-1)  # but for rounding
        return c, variance.where(~constant, 1.0), constant

    (a, a_variance, a_constant), (b, b_variance, b_constant) = centred(a), centred(b)
    r = (w * a * b).sum(-1) / (a_variance * b_variance).sqrt()
    distance = 1.0 - r.where(~(a_constant | b_constant), 0.0)
    return distance.where(~(a_constant & b_constant), 0.0)


def dist(
    *,
    students: Tensor,
    sources: Tensor,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """T^2 (beta mean_b (1 - r_b) + gamma mean_c (1 - r_c)) of posteriors at T.

    r_b is Pearson's correlation of source and student over the classes of sample b, r_c that over the batch for class
    c. Huang et al., NeurIPS 2022, arXiv:2205.10536.

    Args:
        students: logits ``[E, B, ..., C]``; tokens count as samples.
        sources: logits of what is imitated, same shape.
        beta: weight of the relation between classes.
        gamma: weight of the relation within classes, over the batch.
        temperature: T, on both sides.
        mask: ``[E, B, ...]``, the samples that count.

    Returns: ``[E]``, between 0 and 2 T^2 (beta + gamma).
    """
    p, q = (log_posterior(z, "classes", temperature).exp().flatten(1, -2) for z in (students, sources))  # [E, B, C]
    mask = mask if mask is None else mask.flatten(1)
    between = average(correlation_distance(p, q), mask)
    weights = mask if mask is None else mask.unsqueeze(1)
    within = correlation_distance(p.transpose(1, 2), q.transpose(1, 2), weights).mean(1)
    return (beta * between + gamma * within) * temperature**2
