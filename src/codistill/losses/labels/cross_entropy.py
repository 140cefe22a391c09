"""The label loss."""

from torch import Tensor

from codistill.batch import Batch
from codistill.losses.average import average
from codistill.losses.posterior import log_posterior


def label_loss(z: Tensor, batch: Batch) -> Tensor:
    """`cross_entropy` of a batch's labels, with its task, mask and smoothing: logits ``[P, B, C]`` -> ``[P]``."""
    return cross_entropy(z, batch.y, task=batch.task, smoothing=batch.smoothing, mask=batch.mask)


def joint_loss(z: Tensor, batch: Batch) -> Tensor:
    """`label_loss` of what peers predict together, logits ``[B, C]``: a scalar."""
    return label_loss(z.unsqueeze(0), batch.joint())[0]


def cross_entropy(
    z: Tensor, y: Tensor, *, task: str = "classes", smoothing: float = 0.0, mask: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of every peer over its labelled samples.

    Args:
        z: logits ``[P, B, C]`` (``[P, B, L, C]`` for tokens, ``[P, B, 1]`` for binary).
        y: labels for all peers, or with a leading peer dim: class numbers ``[B]`` (classes), 0/1 ``[B]`` (binary),
            0/1 ``[B, C]`` (multilabel: the C terms are summed), ``[B, L]`` (tokens). -1 is unlabelled.
        task: said, never guessed from shapes.
        smoothing: s moves s of the label's mass to the uniform distribution (Szegedy et al. 2016).
        mask: samples (tokens) that count, ``[B]`` (``[B, L]``) or with a leading peer dim.

    Returns: ``[P]``; 0 for a peer without a labelled sample.
    """
    values, labelled = label_losses(log_posterior(z, task), y, task=task, smoothing=smoothing)
    labelled = labelled if mask is None else labelled & mask.bool()
    return average(values, labelled)


def label_losses(log_p: Tensor, y: Tensor, *, task: str = "classes", smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each sample, and whether it has a label: two of ``[P, B]`` (``[P, B, L]`` for tokens).

    Args:
        log_p: from `log_posterior`.
        y: as in `cross_entropy`; where a label is missing, the value says nothing.
        task: as there.
        smoothing: as there.
    """
    y = y.expand(log_p.shape[: -1 if task != "binary" else -2])
    labelled = (y >= 0).all(-1) if task == "multilabel" else y >= 0
    target = y.clamp(min=0).long()
    if task == "binary":
        target = target.unsqueeze(-1)
    values = -log_p.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    if smoothing:
        values = (1.0 - smoothing) * values - smoothing * log_p.mean(-1)
    return values.sum(-1) if task in ("binary", "multilabel") else values, labelled


def confidence(z: Tensor, *, task: str = "classes", mask: Tensor | None = None) -> Tensor:
    """-H(p) of every peer, mean over samples: times beta, the confidence penalty of Pereyra et al. 2017.

    arXiv:1701.06548. Returns ``[P]`` in nats, never above 0.
    """
    log_p = log_posterior(z, task)
    values = (log_p.exp() * log_p).sum(-1)
    return average(values.sum(-1) if task in ("binary", "multilabel") else values, mask)
