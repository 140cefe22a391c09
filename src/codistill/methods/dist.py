"""Distillation of relations, by correlation."""

from torch import Tensor

from codistill.graph import along_edges
from codistill.losses.features.dist import dist
from codistill.methods import Batch, Cohort, Method, Needs, Peers, Terms, label_loss
from codistill.methods.parts.options import GraphOption, Number, Temperature


class DIST(Method):
    """KD by correlation.  L_i = a CE(z_i, y) + sum_j W_ij T^2 (beta mean_b (1 - r_b) + gamma mean_c (1 - r_c))

    r_b is Pearson's correlation of p_j^T and p_i^T over the classes of sample b, r_c that over the batch for class c: a
    student need not match a stronger source's posteriors, only their order and ratios. Huang et al., NeurIPS 2022,
    arXiv:2205.10536; beta = gamma = 1 and T = 1 as in hunto/DIST_KD.

    Args:
        beta: weight of the relation between classes.
        gamma: weight of the relation within classes, over the batch.

    We differ: no 1e-8 in the divisor of the correlation, which makes a class of small probability count less and equal
    posteriors differ; what is constant gives no gradient. a = 1 is ours. The batch is that of one process.
    """

    needs = Needs(teacher="frozen", unlabelled=True, tasks=("classes", "tokens"), couples="edges")
    published = (
        "ImageNet, ResNet-34 to ResNet-18: 72.07; CIFAR-100, ResNet-32x4 to ResNet-8x4: 76.31 ± 0.19 (hunto/DIST_KD)"
    )

    teacher: Cohort | None
    beta: Number = Number(1.0)
    gamma: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    task_weight: Number = Number(1.0)
    graph: GraphOption = GraphOption(None)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, t = self.logits(cohort, batch)  # [P, B, C], [Q, B, C]
        mask = None if batch.mask is None else batch.mask.expand(z.shape[:-1])
        weights = {"beta": self.beta, "gamma": self.gamma, "temperature": self.temperature}

        def distance(i: Tensor, j: Tensor) -> Tensor:  # [E, 1]
            return dist(students=z[i], sources=t[j], mask=None if mask is None else mask[i], **weights).unsqueeze(1)

        mimic = along_edges(self.graph, distance, students=z, sources=len(t))
        return {"task": self.task_weight * label_loss(z, batch), "mimic": mimic}


__all__ = ["DIST"]
