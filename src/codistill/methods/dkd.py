"""Decoupled knowledge distillation."""

from torch import Tensor

from codistill.graph import along_edges
from codistill.losses.labels.dkd import dkd
from codistill.methods import Batch, Cohort, Method, Needs, Peers, Terms, label_loss, rise
from codistill.methods.parts.options import Fraction, GraphOption, Number, Temperature


class DKD(Method):
    """KD in two parts, weighted apart.  L_i = a CE(z_i, y) + r(t) sum_j W_ij T^2 (alpha TCKD_ij + beta NCKD_ij)

    TCKD_ij = KL of (p_y, 1 - p_y) from j to i, NCKD_ij = KL over the classes other than y, of posteriors at T: plain
    distillation is TCKD + (1 - p_jy) NCKD and hides the second where the source is sure. Zhao et al., CVPR 2022,
    arXiv:2203.08679; a = 1, alpha = 1, beta = 8, T = 4 and the rise over 20 of 240 epochs as in
    megvii-research/mdistiller.

    Args:
        alpha: weight of the target class's part.
        beta: weight of the other classes' part. 8 at T = 4 is large: between untrained peers, or at a large learning
            rate, take less.
        rise: fraction of the training over which r rises linearly from 0 to 1.

    We differ: r rises from step to step, in the code from epoch to epoch.
    """

    needs = Needs(teacher="frozen", tasks=("classes", "tokens"), couples="edges")
    published = (
        "CIFAR-100, ResNet-32x4 to ResNet-8x4: 76.32 (KD 73.33); ImageNet, ResNet-34 to ResNet-18: 71.70 (KD 71.03) "
        "(megvii-research/mdistiller)"
    )

    teacher: Cohort | None
    alpha: Number = Number(1.0)
    beta: Number = Number(8.0)
    temperature: Temperature = Temperature(4.0)
    task_weight: Number = Number(1.0)
    rise: Fraction = Fraction(1 / 12)
    graph: GraphOption = GraphOption(None)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, t = self.logits(cohort, batch)  # [P, B, C], [Q, B, C]
        y = batch.y.expand(z.shape[:-1])
        counted = y >= 0 if batch.mask is None else (y >= 0) * batch.mask
        weights = {"alpha": self.alpha, "beta": self.beta, "temperature": self.temperature}

        def decoupled(i: Tensor, j: Tensor) -> Tensor:  # [E, B]
            return dkd(students=z[i], sources=t[j], labels=y[i], **weights)

        mimic = along_edges(self.graph, decoupled, students=z, sources=len(t), mask=counted)
        return {"task": self.task_weight * label_loss(z, batch), "mimic": rise(progress, self.rise) * mimic}


__all__ = ["DKD"]
