"""Teacher-free distillation: from a virtual teacher."""

from dataclasses import replace

import torch
from torch import Tensor

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import Fraction, Number, Temperature


class TfKDReg(Imitation):
    """Networks imitate a virtual teacher.  L_i = (1-a) CE(z_i, y) + a (m/100) KL(softmax(d_y / T) || p_i)

    d_y has c at the label and (1 - c) / (C - 1) at the other C - 1 classes. It is a probability that is softened as if
    it were logits, so at T = 20 the target is nearly uniform (0.0105 at the label of 100 classes), and the student is
    not softened: both as in yuanli2333/Teacher-free-Knowledge-Distillation. Yuan et al., CVPR 2020, arXiv:1909.11723.
    c = 0.99, T = 20, a = 0.1, m = 100 are those of its ResNet-18 on CIFAR-100; for m see `TfKD`. MobileNetV2 has T =
    40, a = 0.95, m = 1 there, GoogLeNet T = 40, a = 0.1, m = 50.

    The figure of winycg/Self-KD-Lib is not quoted: its loss is another, the cross-entropy of the softened student to
    smoothed labels, over T.

    Args:
        alpha: a.
        multiplier: m.
        correct: c.
    """

    title = "Tf-KD reg"
    needs = Needs(shards=True, tasks=("classes", "tokens"), couples="edges")

    alpha: Fraction = Fraction(0.1)
    temperature: Temperature = Temperature(20.0)
    multiplier: Number = Number(100.0)
    correct: Fraction = Fraction(0.99)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, y = cohort(batch.x).logits, batch.y  # [P, B, C]
        teacher = virtual(y.clamp(min=0).expand(z.shape[:-1]), z, self.correct, self.temperature)
        labelled = replace(batch, mask=y >= 0 if batch.mask is None else (y >= 0) & batch.mask.bool())
        mimic = self.imitate(kl, students=z, posteriors=teacher, of=labelled, progress=progress, temperature=1.0)
        task = (1.0 - self.alpha) * label_loss(z, batch)
        return {"task": task, "mimic": self.alpha * self.multiplier / 100.0 * mimic}


def virtual(y: Tensor, like: Tensor, correct: float, temperature: float) -> Tensor:
    """The virtual teacher's softened posterior of labels ``[...]``, for logits ``[..., C]``: ``[..., C]``."""
    rest = torch.full_like(like, (1.0 - correct) / (like.shape[-1] - 1))
    return (rest.scatter(-1, y.unsqueeze(-1), correct) / temperature).softmax(-1)


__all__ = ["TfKDReg"]
