"""Teacher-free distillation: from a virtual teacher."""

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.checks import number
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms


class TfKDReg(Method):
    """Networks imitate a virtual teacher.  L_i = (1-a) CE(z_i, y) + a (m/100) KL(softmax(d_y / T) || p_i)

    d_y has c at the label and (1 - c) / (C - 1) at the other C - 1 classes. It is a probability that is softened as if
    it were logits, so at T = 20 the target is nearly uniform (0.0105 at the label of 100 classes), and the student is
    not softened: both as in yuanli2333/Teacher-free-Knowledge-Distillation. Yuan et al., CVPR 2020, arXiv:1909.11723.
    c = 0.99, T = 20, a = 0.1, m = 100 are those of its ResNet-18 on CIFAR-100; for m see `TfKD`. MobileNetV2 has T =
    40, a = 0.95, m = 1 there, GoogLeNet T = 40, a = 0.1, m = 50.

    Args:
        alpha: a.
        temperature: T.
        multiplier: m.
        correct: c.
    """

    title = "Tf-KD reg"
    needs = Needs(shards=True, couples="edges")
    published = "CIFAR-100, ResNet-18, a replication: 76.24 -> 76.61 (winycg/Self-KD-Lib)"

    def __init__(
        self, alpha: float = 0.1, temperature: float = 20.0, multiplier: float = 100.0, correct: float = 0.99
    ) -> None:
        super().__init__()
        self.alpha = number("alpha", alpha, 0.0, 1.0)
        self.temperature = number("temperature", temperature, 1e-6)
        self.multiplier = number("multiplier", multiplier)
        self.correct = number("correct", correct, 0.0, 1.0)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        _check(batch)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        _check(batch)
        z, y, task, mask = cohort(batch.x).logits, batch.y, batch.task, batch.mask  # [P, B, C]
        teacher = virtual(y.clamp(min=0).expand(z.shape[:-1]), z.shape[-1], self.correct, self.temperature, z)
        labelled = y >= 0 if mask is None else (y >= 0) & mask.bool()
        mimic = average(kl(students=z, posteriors=teacher, task=task), labelled)
        return {
            "task": (1.0 - self.alpha) * cross_entropy(z, y, task=task, mask=mask, smoothing=batch.smoothing),
            "mimic": self.alpha * self.multiplier / 100.0 * mimic,
        }


def virtual(y: Tensor, classes: int, correct: float, temperature: float, like: Tensor) -> Tensor:
    """The virtual teacher's softened posterior of labels ``[...]``: ``[..., C]``."""
    rows = torch.full((classes, classes), (1.0 - correct) / (classes - 1), dtype=like.dtype, device=like.device)
    return (rows.fill_diagonal_(correct) / temperature).softmax(-1)[y]


def _check(batch: Batch) -> None:
    if batch.task not in ("classes", "tokens"):
        raise ValueError(f"task={batch.task!r}: tfkd_reg's virtual teacher has one true class; use task='classes'")


__all__ = ["TfKDReg"]
