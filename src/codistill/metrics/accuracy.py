"""How often the label is among the most probable classes."""

from functools import partial

import torch
from torch import Tensor

from codistill.metrics import Metric, Only
from codistill.metrics.labels import check


def accuracy(logits: Tensor, labels: Tensor, top: int = 1) -> Tensor:
    """Share of the examples whose label is among the `top` classes of highest logit.

    Of equal logits the lower class number comes first, as in argmax. An example with a NaN logit is never
    correct.

    Args:
        logits: ``[..., N, C]``.
        labels: class numbers ``[N]``.
        top: 1..C.

    Returns: ``[...]``, a fraction; NaN where N = 0.

    Raises:
        ValueError: shapes or labels that do not fit; `top` outside 1..C.
    """
    check(logits, labels)
    if not 1 <= top <= logits.shape[-1]:
        raise ValueError(f"top={top}: choose 1 to {logits.shape[-1]}, the number of classes")
    return (_ahead(logits, labels) < top).to(torch.promote_types(logits.dtype, torch.float32)).mean(-1)


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Is the most probable class the label? ``[..., N]`` bool; an example with a NaN logit is not correct."""
    return _ahead(logits, labels) < 1


def _ahead(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the label, ``[..., N]``; all of them where a logit is NaN."""
    label_logit = logits.gather(-1, labels.expand(logits.shape[:-1]).unsqueeze(-1))
    lower = torch.arange(logits.shape[-1], device=logits.device) < labels.unsqueeze(-1)
    ahead = ((logits > label_logit) | ((logits == label_logit) & lower)).sum(-1)
    return ahead.masked_fill(logits.isnan().any(-1), logits.shape[-1])


_many = Only("more than 5 classes", lambda task, classes, labels: classes > 5)
_top5 = partial(accuracy, top=5)
_share = partial(Metric, better="higher", tables="classes")
METRICS = (
    _share("accuracy", accuracy, 10, "share whose most probable class is the label", title="accuracy"),
    _share(
        "top5",
        partial(accuracy, top=5),
        70,
        "share whose label is among the five most probable",
        title="top-5",
        only=_many,
    ),
)
