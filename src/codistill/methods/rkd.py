"""Relational knowledge distillation."""

import torch
from torch import Tensor

from codistill.losses.features.rkd import rkd_angle, rkd_distance
from codistill.methods import Cohort, Needs
from codistill.methods.parts.features import FeatureMethod, Pair
from codistill.methods.parts.options import GraphOption, Names, Number


class RKD(FeatureMethod):
    """Students match distances and angles of samples.  L_i = CE_i + w * sum_j W_ij [d * D(f_i, f_j) + a * A(f_i, f_j)]

    D: smooth L1 between the distances of all pairs of samples, each side's divided by the mean of its positive ones. A:
    smooth L1 between the cosines at all triplets. Park et al., CVPR 2019, arXiv:1904.05068; w = 1, d = 25, a = 50 and
    the pooled feature as in AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 25 and 50 too).

    Args:
        distance: d.
        angle: a. Its memory grows with B^3; at 0 it is left out.
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.
            Shapes may differ in all but the samples.
    """

    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.21 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    teacher: Cohort | None
    weight: Number = Number(1.0)
    distance: Number = Number(25.0)
    angle: Number = Number(50.0)
    features: Names = Names("fc:input")
    graph: GraphOption = GraphOption(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.distance and not self.angle:
            raise ValueError("distance=0 and angle=0 leave nothing to imitate: set one above 0")

    def check(self, pair: Pair, i: int, j: int) -> None:
        if len(pair.students[i]) < 2:
            raise ValueError("batch=1: rkd compares the samples of a batch with each other; give it 2 or more")

    def compare(self, students: Tensor, sources: Tensor) -> Tensor:
        """d * D(f_i, f_j) + a * A(f_i, f_j)."""
        losses = ((self.distance, rkd_distance), (self.angle, rkd_angle))
        return torch.stack([factor * loss(students, sources) for factor, loss in losses if factor]).sum(0)


__all__ = ["RKD"]
