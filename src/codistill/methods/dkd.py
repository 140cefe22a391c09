"""Decoupled knowledge distillation."""

from torch import Tensor

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph, along_edges, same_classes
from codistill.losses.dkd import dkd
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import over_classes
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.sources import Sources


class DKD(Method):
    """The true class and the others apart.  L_i = a CE(z_i, y) + r(t) sum_j W_ij T^2 (alpha TCKD_ij + beta NCKD_ij)

    TCKD_ij = KL of (p_y, 1 - p_y) from j to i, NCKD_ij = KL over the classes other than y, of posteriors at T: plain
    distillation is TCKD + (1 - p_jy) NCKD and hides the second where the source is sure. Zhao et al., CVPR 2022,
    arXiv:2203.08679; a = 1, alpha = 1, beta = 8, T = 4 and the rise over 20 of 240 epochs as in
    megvii-research/mdistiller.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        alpha: weight of the true class's part.
        beta: weight of the other classes' part.
        temperature: T.
        task_weight: a.
        rise: part of the training over which r rises linearly from 0 to 1.
        graph: W[student, teacher]: ``everyone`` (the mean over all teachers), ``ring`` (student i from teacher i + 1),
            ``own``, or a matrix.

    beta = 8 at T = 4 is a large weight: between peers that all start anew, or at a large learning rate, take less.

    We differ: r rises from step to step, in the code from epoch to epoch.
    """

    title = "DKD"
    needs = Needs(teacher="frozen", couples="edges")
    cost = "2 / 1, and the teacher's training"
    published = (
        "CIFAR-100, ResNet-32x4 to ResNet-8x4: 76.32 (KD 73.33); ImageNet, ResNet-34 to ResNet-18: 71.70 (KD 71.03) "
        "(megvii-research/mdistiller)"
    )

    def __init__(
        self,
        teacher: Cohort | None,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float = 4.0,
        task_weight: float = 1.0,
        rise: float = 1 / 12,
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.sources = Sources(teacher, graph)
        self.alpha = number("alpha", alpha)
        self.beta = number("beta", beta)
        self.temperature = number("temperature", temperature, 1e-6)
        self.task_weight = number("task_weight", task_weight)
        self.rise = number("rise", rise, 0.0, 1.0)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        over_classes(batch.task, "dkd")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        over_classes(batch.task, "dkd")
        students, sources = self.sources(cohort, batch.x)
        z, t = students.logits, sources.logits  # [P, B, C], [Q, B, C]
        same_classes(z, t)
        y = batch.y.expand(z.shape[:-1])
        labelled = y >= 0

        def apart(i: Tensor, j: Tensor) -> Tensor:
            return dkd(
                students=z[i],
                sources=t[j],
                labels=y[i],
                alpha=self.alpha,
                beta=self.beta,
                temperature=self.temperature,
            )

        mask = labelled if batch.mask is None else labelled * batch.mask
        mimic = along_edges(self.sources.graph, apart, students=z, sources=len(t), mask=mask)
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": self.task_weight * task, "mimic": self._risen(progress) * mimic}

    def _risen(self, progress: float | None) -> float:
        """r(t); 1 where progress is not known."""
        return 1.0 if progress is None or not self.rise else min(progress / self.rise, 1.0)


__all__ = ["DKD"]
