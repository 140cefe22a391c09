"""Distillation of relations, by correlation."""

from torch import Tensor

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph, along_edges, same_classes
from codistill.losses.dist import dist
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import over_classes
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.sources import Sources


class DIST(Method):
    """Correlations are imitated.  L_i = a CE(z_i, y) + sum_j W_ij T^2 (beta mean_b (1 - r_b) + gamma mean_c (1 - r_c))

    r_b is Pearson's correlation of p_j^T and p_i^T over the classes of sample b, r_c that over the batch for class c: a
    student need not match a stronger source's posteriors, only their order and ratios. Huang et al., NeurIPS 2022,
    arXiv:2205.10536; beta = gamma = 1 and T = 1 as in hunto/DIST_KD.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        beta: weight of the relation between classes.
        gamma: weight of the relation within classes, over the batch.
        temperature: T.
        task_weight: a.
        graph: W[student, teacher]: ``everyone`` (the mean over all teachers), ``ring`` (student i from teacher i + 1),
            ``own``, or a matrix.

    We differ: no 1e-8 in the divisor of the correlation, which makes a class of small probability count less and equal
    posteriors differ; what is constant gives no gradient. a = 1 is ours. The batch is that of one process.
    """

    title = "DIST"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    cost = "2 / 1, and the teacher's training"
    published = (
        "ImageNet, ResNet-34 to ResNet-18: 72.07; CIFAR-100, ResNet-32x4 to ResNet-8x4: 76.31 ± 0.19 (hunto/DIST_KD)"
    )

    def __init__(
        self,
        teacher: Cohort | None,
        beta: float = 1.0,
        gamma: float = 1.0,
        temperature: float = 1.0,
        task_weight: float = 1.0,
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.sources = Sources(teacher, graph)
        self.beta = number("beta", beta)
        self.gamma = number("gamma", gamma)
        self.temperature = number("temperature", temperature, 1e-6)
        self.task_weight = number("task_weight", task_weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        over_classes(batch.task, "dist")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        over_classes(batch.task, "dist")
        students, sources = self.sources(cohort, batch.x)
        z, t = students.logits, sources.logits  # [P, B, C], [Q, B, C]
        same_classes(z, t)
        mask = None if batch.mask is None else batch.mask.expand(z.shape[:-1])

        def distance(i: Tensor, j: Tensor) -> Tensor:
            own = None if mask is None else mask[i]
            d = dist(
                students=z[i], sources=t[j], beta=self.beta, gamma=self.gamma, temperature=self.temperature, mask=own
            )
            return d.unsqueeze(1)

        mimic = along_edges(self.sources.graph, distance, students=z, sources=len(t))
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": self.task_weight * task, "mimic": mimic}


__all__ = ["DIST"]
