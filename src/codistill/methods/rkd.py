"""Relational knowledge distillation."""

import torch
from torch import Tensor

from codistill.losses.features.rkd import rkd_angle, rkd_distance
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.features import Features


class RKD(Method):
    """Students match distances and angles of samples.  L_i = CE_i + w * sum_j W_ij [d * D(f_i, f_j) + a * A(f_i, f_j)]

    D: smooth L1 between the distances of all pairs of samples, each side's divided by the mean of its positive ones. A:
    smooth L1 between the cosines at all triplets. Park et al., CVPR 2019, arXiv:1904.05068; w = 1, d = 25, a = 50 and
    the pooled feature as in AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 25 and 50 too).

    Args:
        teacher, graph: see `Method`.
        weight: w.
        distance: d.
        angle: a. Its memory grows with B^3; at 0 it is left out.
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.
            Shapes may differ in all but the samples.
    """

    title = "RKD"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.21 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 1.0,
        distance: float = 25.0,
        angle: float = 50.0,
        features: str = "fc:input",
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.features = Features(features)
        self.weight = number("weight", weight)
        self.distance, self.angle = number("distance", distance), number("angle", angle)
        if not self.distance and not self.angle:
            raise ValueError("distance=0 and angle=0 leave nothing to imitate: set one above 0")

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        pairs = self.features.prepare(self.graph, cohort, self.teacher, batch, same_size=False)
        if pairs[0].students[0].shape[0] < 2:
            raise ValueError("batch=1: rkd compares the samples of a batch with each other; give it 2 or more")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        mimic = self.features.along(self.graph, self._relations, students=students, sources=sources, of=batch)
        return {"task": label_loss(students.logits, batch), "mimic": self.weight * mimic}

    def _relations(self, students: Tensor, sources: Tensor) -> Tensor:
        parts = [
            factor * loss(students, sources)
            for factor, loss in ((self.distance, rkd_distance), (self.angle, rkd_angle))
            if factor
        ]
        return torch.stack(parts).sum(0)


__all__ = ["RKD"]
