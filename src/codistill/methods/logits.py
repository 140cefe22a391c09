"""Regression of logits."""

from codistill.losses.divergences.squared_logits import squared_logits
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, along, label_loss, number


class Logits(Method):
    """Students regress teachers' logits.  L_i = CE(z_i, y) + w * sum_j W_ij mean over classes of (z_i - z_j)^2

    Ba and Caruana, NeurIPS 2014, arXiv:1312.6184; w = 0.1 as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher, graph: see `Method`.
        weight: w.
    """

    title = "Logits"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.98 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(self, teacher: Cohort | None, weight: float = 0.1, graph: Links = None) -> None:
        super().__init__(graph, teacher)
        self.weight = number("weight", weight)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        z, t = students.logits, sources.logits  # [P, B, C], [Q, B, C]
        mimic = along(self.graph, squared_logits, students=z, sources=t, of=batch)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["Logits"]
