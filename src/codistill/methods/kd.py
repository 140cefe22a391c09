"""Distillation by soft targets."""

from codistill.losses.divergences.kl import kl
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, along, label_loss, number


class KD(Method):
    """Students imitate teachers' soft targets.  L_i = a CE(z_i, y) + w * sum_j W_ij T^2 KL(p_j^T || p_i^T)

    Hinton et al. 2015, arXiv:1503.02531; a = 0.1, w = 0.9, T = 4 as in megvii-research/mdistiller.

    Args:
        teacher, graph: see `Method`.
        weight: w.
        task_weight: a.
        temperature: T.
    """

    title = "KD"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20 (CE + 0.1 KD): 92.37 -> 92.82 (AberHu/Knowledge-Distillation-Zoo)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 0.9,
        task_weight: float = 0.1,
        temperature: float = 4.0,
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.weight, self.task_weight = number("weight", weight), number("task_weight", task_weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        z, t = students.logits, sources.logits  # [P, B, C], [Q, B, C]
        mimic = along(self.graph, kl, students=z, sources=t, of=batch, temperature=self.temperature)
        return {"task": self.task_weight * label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["KD"]
