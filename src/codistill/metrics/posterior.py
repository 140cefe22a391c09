"""What the posteriors look like, whatever the labels."""

import math

import torch
from torch import Tensor

from codistill.losses.posterior import log_posterior
from codistill.metrics import Metric, unlabelled


def entropy(logits: Tensor) -> Tensor:
    """Mean of H(p) = -sum_m p_m log p_m, in nats, 0 to log C: ``[..., N, C]`` -> ``[...]``."""
    log_p = log_posterior(logits)
    finite = log_p.clamp(min=torch.finfo(log_p.dtype).min)  # so that p = 0 adds 0 and not 0 * -inf
    return -(log_p.exp() * finite).sum(-1).mean(-1)


def mean_posterior(logits: Tensor) -> Tensor:
    """Log of the mean posterior over the leading peer dim, log((1/P) sum_i p_i).

    ``[P, ..., C]`` -> ``[..., C]``. It is what an ensemble predicts, and serves as logits for every
    metric. A peer with a NaN logit makes that example NaN.
    """
    return log_posterior(logits).logsumexp(0) - math.log(logits.shape[0])


def top_posterior(logits: Tensor, ranks: int = 5) -> Tensor:
    """Mean probability of the most probable class, of the second, ...: ``[..., N, C]`` -> ``[..., ranks]``.

    Zhang et al. 2018, section 3.6: a network from mutual learning is less certain.

    Raises:
        ValueError: `ranks` outside 1..C.
    """
    if not 1 <= ranks <= logits.shape[-1]:
        raise ValueError(f"ranks={ranks}: choose 1 to {logits.shape[-1]}, the number of classes")
    return log_posterior(logits).topk(ranks, dim=-1).values.exp().mean(-2)


METRICS = (Metric("entropy", unlabelled(entropy), 50, "mean of -sum p log p", "", "entropy", "classes", "nats"),)
