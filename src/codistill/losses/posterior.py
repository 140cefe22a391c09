"""From logits to posteriors, for every task, in one place."""

import torch
from torch import Tensor
from torch.nn import functional as F

TASKS = ("classes", "binary", "multilabel", "tokens")


def full_precision(z: Tensor) -> Tensor:
    """Half precisions become float32: a softmax in bfloat16 loses the small probabilities that carry the signal."""
    return z.float() if z.element_size() < 4 else z


def log_posterior(z: Tensor, task: str = "classes", temperature: float = 1.0) -> Tensor:
    """log p^T of logits, the distribution along the last dim.

    Args:
        z: logits ``[..., C]``.
        task: ``classes`` and ``tokens`` give ``[..., C]``; ``multilabel`` is C Bernoulli variables, ``binary`` a single
            one (C = 1), and they give ``[..., C, 2]``: one logit z is the two-class softmax over ``[0, z]``.
        temperature: T > 0 divides the logits.

    Raises:
        ValueError: unknown task; one logit with ``classes`` (a softmax over one class is always 1); several
            with ``binary``.
    """
    z = full_precision(z)
    if temperature != 1.0:
        z = z / temperature
    if task in ("classes", "tokens"):
        if z.shape[-1] == 1:
            raise ValueError(f"task={task!r} with one logit per sample: say task='binary'")
        return F.log_softmax(z, dim=-1)
    if task == "binary" and z.shape[-1] != 1:
        raise ValueError(
            f"task='binary' with {z.shape[-1]} logits per sample: build the network with one output (classes=1), "
            "or say task='classes'"
        )
    if task in ("binary", "multilabel"):
        return torch.stack([F.logsigmoid(-z), F.logsigmoid(z)], dim=-1)
    raise ValueError(f"task={task!r}: choose one of {', '.join(TASKS)}")
