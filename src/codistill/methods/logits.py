"""Regression of logits."""

from typing import ClassVar

from codistill.losses.divergence import Divergence
from codistill.losses.divergences.squared_logits import squared_logits
from codistill.methods import Batch, Cohort, Imitation, Needs, Peers, Terms, label_loss
from codistill.methods.parts.options import GraphOption, Number


class Logits(Imitation):
    """Students regress teachers' logits.  L_i = CE(z_i, y) + w * sum_j W_ij mean over classes of (z_i - z_j)^2

    Ba and Caruana, NeurIPS 2014, arXiv:1312.6184; w = 0.1 as in AberHu/Knowledge-Distillation-Zoo.
    """

    needs = Needs(teacher="frozen", unlabelled=True, common=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.98 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    teacher: Cohort | None
    weight: Number = Number(0.1)
    graph: GraphOption = GraphOption(None)
    divergence: ClassVar[Divergence] = squared_logits

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, t = self.logits(cohort, batch)  # [P, B, C], [Q, B, C]
        mimic = self.along(self.divergence, students=z, sources=t, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["Logits"]
