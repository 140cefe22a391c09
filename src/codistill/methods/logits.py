"""Regression of logits."""

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph, along
from codistill.losses.divergences.squared_logits import squared_logits
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.sources import Sources


class Logits(Method):
    """Every student regresses teachers' logits.  L_i = CE(z_i, y) + w * sum_j W_ij mean over classes of (z_i - z_j)^2

    Ba and Caruana, NeurIPS 2014, arXiv:1312.6184; w = 0.1 as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w.
        graph: W[student, teacher]: ``everyone`` (the mean over all teachers), ``ring`` (student i from teacher i + 1),
            ``own``, or a matrix.
    """

    title = "Logits"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    cost = "2 / 1, and the teacher's training"
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.98 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(self, teacher: Cohort | None, weight: float = 0.1, graph: str | Graph | None = None) -> None:
        super().__init__()
        self.sources = Sources(teacher, graph)
        self.graph = self.sources.peer_graph
        self.weight = number("weight", weight)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.sources(cohort, batch.x)
        z = students.logits  # [P, B, C]
        mimic = along(
            self.sources.graph,
            squared_logits,
            students=z,
            sources=sources.logits,  # [Q, B, C]
            task=batch.task,
            mask=batch.mask,
        )
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": task, "mimic": self.weight * mimic}


__all__ = ["Logits"]
