"""Which samples are imitated: s(x) of each, from what is imitated there, the student and the label.

Each is a `Selection` of ``[P, B]`` booleans. It judges the target before it is made hard or sharper.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.checks import number
from codistill.losses.labels import label_losses


class Selection(ABC):
    """Which samples count.

    Attributes:
        labels: it judges by the labels, so unlabelled samples never count.
    """

    labels: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, targets: Tensor, students: Tensor, batch: Batch, progress: float | None) -> Tensor:
        """``[P, B]`` (``[P, B, L]`` for tokens), from the log-probabilities of both."""


class Confident(Selection):
    """Where the target's largest probability is at least a threshold, as in FixMatch (Sohn et al. 2020).

    With several variables (``multilabel``), where that holds for each.

    Args:
        threshold: from 0 to 1.
    """

    def __init__(self, threshold: float = 0.95) -> None:
        self.threshold = number("threshold", threshold, 0.0, 1.0)

    def __call__(self, targets: Tensor, students: Tensor, batch: Batch, progress: float | None) -> Tensor:
        sure = targets.amax(-1).exp() >= self.threshold
        return sure.all(-1) if batch.task in ("binary", "multilabel") else sure


class Agree(Selection):
    """Where student and target choose the same class; with several variables, the same in each."""

    def __call__(self, targets: Tensor, students: Tensor, batch: Batch, progress: float | None) -> Tensor:
        same = students.argmax(-1) == targets.argmax(-1)
        return same.all(-1) if batch.task in ("binary", "multilabel") else same


class SmallLoss(Selection):
    """The labelled samples on which the target's own cross-entropy is least.

    Kept is R(t) = 1 - rate min(t / ramp, 1) of them, rounded down but at least one (Co-teaching, Han et al. 2018).

    Args:
        rate: the part that is left out in the end: the part of wrong labels, if it is known.
        ramp: the fraction of the training over which that part rises from 0.
    """

    labels = True

    def __init__(self, rate: float = 0.2, ramp: float = 0.05) -> None:
        self.rate, self.ramp = number("rate", rate, 0.0, 1.0), number("ramp", ramp, 0.0, 1.0)

    def __call__(self, targets: Tensor, students: Tensor, batch: Batch, progress: float | None) -> Tensor:
        return small_losses(targets, batch, kept_part(self.rate, self.ramp, progress))


def kept_part(rate: float, ramp: float, progress: float | None) -> float:
    """R(t) = 1 - rate min(t / ramp, 1); 1 - rate where there is no ramp, or nobody knows the progress."""
    return 1.0 - rate * (1.0 if progress is None or ramp <= 0 else min(progress / ramp, 1.0))


def small_losses(log_p: Tensor, batch: Batch, part: float) -> Tensor:
    """The part of a batch's labelled samples with the least cross-entropy, each peer's own: ``[P, B, ...]`` booleans.

    Args:
        log_p: from `log_posterior`, of every peer.
        batch: for its labels, task and mask.
        part: from 0 to 1.
    """
    losses, labelled = label_losses(log_p, batch.y, task=batch.task)
    labelled = labelled if batch.mask is None else labelled & batch.mask.bool()
    return smallest(losses, labelled.expand_as(losses), part)


def smallest(losses: Tensor, among: Tensor, part: float) -> Tensor:
    """The part of some samples with the least losses, each peer's own, at least one: ``[P, B, ...]`` booleans.

    Args:
        losses: ``[P, B, ...]``.
        among: the samples that it is a part of, in that form.
        part: from 0 to 1.
    """
    flat, valid = losses.detach().flatten(1), among.flatten(1)
    order = flat.where(valid, torch.inf).argsort(dim=1, stable=True)
    rank = order.argsort(dim=1)
    count = (valid.sum(1, keepdim=True) * part + 1e-6).long().clamp(min=1)
    return ((rank < count) & valid).view_as(losses)


confident, agree, small_loss = Confident, Agree, SmallLoss

__all__ = ["agree", "confident", "small_loss"]
