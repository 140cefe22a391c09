"""How often peers predict the same class."""

import torch
from torch import Tensor

from codistill.metrics import Metric


def agreement(logits: Tensor) -> Tensor:
    """Share of the examples on which two peers choose the same class: ``[..., P, N, C]`` -> ``[..., P, P]``.

    A peer with a NaN logit chooses no class, so it agrees with nobody on that example, itself included.
    """
    choice = logits.argmax(-1).masked_fill(logits.isnan().any(-1), -1)
    same = (choice.unsqueeze(-2) == choice.unsqueeze(-3)) & (choice.unsqueeze(-2) >= 0)
    return same.to(torch.float64 if logits.dtype == torch.float64 else torch.float32).mean(-1)


METRICS = (
    Metric(
        "agreement",
        lambda logits, labels: agreement(logits),
        source="pairs",
        order=10,
        about="share of examples on which both choose the same class",
    ),
)

__all__ = ["METRICS", "agreement"]
