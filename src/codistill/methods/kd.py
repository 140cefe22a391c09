"""Distillation by soft targets."""

from codistill.methods import Batch, Cohort, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import GraphOption, Number, Temperature


class KD(Imitation):
    """Students imitate teachers' soft targets.  L_i = a CE(z_i, y) + w * sum_j W_ij T^2 KL(p_j^T || p_i^T)

    Hinton et al. 2015, arXiv:1503.02531; a = 0.1, w = 0.9, T = 4 as in megvii-research/mdistiller.
    """

    needs = Needs(teacher="frozen", unlabelled=True, common=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20 (CE + 0.1 KD): 92.37 -> 92.82 (AberHu/Knowledge-Distillation-Zoo)"

    teacher: Cohort | None
    weight: Number = Number(0.9)
    task_weight: Number = Number(0.1)
    temperature: Temperature = Temperature(4.0)
    graph: GraphOption = GraphOption(None)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, t = self.logits(cohort, batch)  # [P, B, C], [Q, B, C]
        mimic = self.along(kl, students=z, sources=t, of=batch, progress=progress)
        return {"task": self.task_weight * label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["KD"]
