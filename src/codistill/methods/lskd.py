"""Distillation of standardised logits."""

from codistill.losses.divergences.kl import kl
from codistill.losses.standardise import standardise
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, along, label_loss, number


class LSKD(Method):
    """KD of standardised logits.  L_i = a CE(z_i, y) + w * sum_j W_ij T^2 KL(softmax(s_j / T) || softmax(s_i / T))

    s = (z - mean) / (std + 1e-7) over the classes of a sample, for students and sources alike: no network has to take
    over another's scale of logits. Sun et al., CVPR 2024, arXiv:2403.01427; a = 0.1, w = 9, T = 2 as in
    sunshangquan/logit-standardization-KD. They are for a trained teacher. Peers that all start untrained agree on
    anything but the labels with them: give ``weight=1,task_weight=1``.

    Args:
        teacher, graph: see `Method`.
        weight: w.
        task_weight: a.
        temperature: T.
    """

    title = "LSKD"
    needs = Needs(teacher="frozen", unlabelled=True, tasks=("classes", "tokens"), couples="edges")
    published = "CIFAR-100, ResNet-32x4 to ResNet-8x4: KD 73.33 -> 76.62 (sunshangquan/logit-standardization-KD)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 9.0,
        task_weight: float = 0.1,
        temperature: float = 2.0,
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.weight, self.task_weight = number("weight", weight), number("task_weight", task_weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        z, s, t = students.logits, standardise(students.logits), standardise(sources.logits)  # [P, B, C], [Q, B, C]
        mimic = along(self.graph, kl, students=s, sources=t, of=batch, temperature=self.temperature)
        return {"task": self.task_weight * label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["LSKD"]
