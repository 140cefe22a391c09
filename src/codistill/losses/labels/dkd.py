"""The decoupled divergence between posteriors."""

import torch
from torch import Tensor

from codistill.losses.divergences.kl import relative_entropy
from codistill.losses.posterior import log_posterior


def dkd(
    *,
    students: Tensor,
    sources: Tensor,
    labels: Tensor,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """T^2 (alpha TCKD + beta NCKD) per sample.

    TCKD is the KL from source to student of the two probabilities (p_y, 1 - p_y), NCKD that of the posteriors over the
    classes other than y: KL = TCKD + (1 - q_y) NCKD, with q the source's posterior. Zhao et al., CVPR 2022,
    arXiv:2203.08679.

    Args:
        students: logits ``[E, B, ..., C]``.
        sources: logits of what is imitated, same shape.
        labels: class numbers ``[E, B, ...]``; an unlabelled sample (-1) has no true class and gets 0.
        alpha: weight of TCKD.
        beta: weight of NCKD.
        temperature: T, on both sides.

    Returns: ``[E, B, ...]``, nats.
    """
    q, p = (log_posterior(z, "classes", temperature) for z in (sources, students))
    label = labels.clamp(min=0).unsqueeze(-1)
    true = torch.zeros_like(p, dtype=torch.bool).scatter(-1, label, True)

    def split(log_p: Tensor) -> tuple[Tensor, Tensor]:
        """Of the true class against the others, and of the others among themselves."""
        others = log_p.masked_fill(true, -torch.inf)
        rest = others.logsumexp(-1, keepdim=True)  # log(1 - p_y), without the rounding of 1 - p_y
        return torch.cat([log_p.gather(-1, label), rest], -1), others - rest

    (q_true, q_others), (p_true, p_others) = split(q), split(p)
    target, other = relative_entropy(q_true, p_true), relative_entropy(q_others, p_others)
    values = (alpha * target + beta * other) * temperature**2
    return values.where(labels >= 0, values.new_zeros(()))
