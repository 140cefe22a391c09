"""Distillation of standardised logits."""

from codistill.losses.standardise import standardise
from codistill.methods import Batch, Cohort, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import GraphOption, Number, Temperature


class LSKD(Imitation):
    """KD of standardised logits.  L_i = a CE(z_i, y) + w * sum_j W_ij T^2 KL(softmax(s_j / T) || softmax(s_i / T))

    s = (z - mean) / (std + 1e-7) over the classes of a sample, for students and sources alike: no network has to take
    over another's scale of logits. Sun et al., CVPR 2024, arXiv:2403.01427; a = 0.1, w = 9, T = 2 as in
    sunshangquan/logit-standardization-KD. They are for a trained teacher. Peers that all start untrained agree on
    anything but the labels with them: give ``weight=1,task_weight=1``.
    """

    needs = Needs(teacher="frozen", unlabelled=True, common=True, tasks=("classes", "tokens"), couples="edges")
    published = "CIFAR-100, ResNet-32x4 to ResNet-8x4: KD 73.33 -> 76.62 (sunshangquan/logit-standardization-KD)"

    teacher: Cohort | None
    weight: Number = Number(9.0)
    task_weight: Number = Number(0.1)
    temperature: Temperature = Temperature(2.0)
    graph: GraphOption = GraphOption(None)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, t = self.logits(cohort, batch)  # [P, B, C], [Q, B, C]
        mimic = self.along(kl, students=standardise(z), sources=standardise(t), of=batch, progress=progress)
        return {"task": self.task_weight * label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["LSKD"]
