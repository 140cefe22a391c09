"""Distillation by soft targets."""

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph, along
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.sources import Sources


class KD(Method):
    """Every student imitates frozen teachers.  L_i = a CE(z_i, y) + w * sum_j W_ij T^2 KL(p_j^T || p_i^T)

    Hinton et al. 2015, arXiv:1503.02531; a = 0.1, w = 0.9, T = 4 as in megvii-research/mdistiller.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w.
        task_weight: a.
        temperature: T.
        graph: W[student, teacher]: ``everyone`` (the mean over all teachers), ``ring`` (student i from teacher i + 1),
            ``own``, or a matrix.
    """

    title = "KD"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    cost = "2 / 1, and the teacher's training"
    published = "CIFAR-10, ResNet-110 to ResNet-20 (CE + 0.1 KD): 92.37 -> 92.82 (AberHu/Knowledge-Distillation-Zoo)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 0.9,
        task_weight: float = 0.1,
        temperature: float = 4.0,
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.sources = Sources(teacher, graph)
        self.weight = number("weight", weight)
        self.task_weight = number("task_weight", task_weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.sources(cohort, batch.x)
        z = students.logits  # [P, B, C]
        mimic = along(
            self.sources.graph,
            kl,
            students=z,
            sources=sources.logits,  # [Q, B, C]
            task=batch.task,
            temperature=self.temperature,
            mask=batch.mask,
        )
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": self.task_weight * task, "mimic": self.weight * mimic}


__all__ = ["KD"]
