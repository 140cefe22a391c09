"""Attention transfer."""

from torch import Tensor

from codistill.losses.features.at import at
from codistill.methods import Cohort, Needs
from codistill.methods.parts.features import FeatureMethod
from codistill.methods.parts.options import GraphOption, Names, Number


class AT(FeatureMethod):
    """Students match teachers' attention maps.  L_i = CE(z_i, y) + w * sum_j W_ij mean over positions of (Q_i - Q_j)^2

    Q = sum_c |F_c|^p over the channels, divided by its norm over positions; the mean over the stages. Zagoruyko and
    Komodakis, ICLR 2017, arXiv:1612.03928; w = 1000, p = 2 and all three stages as in
    AberHu/Knowledge-Distillation-Zoo.

    Args:
        weight: w. Q is of length 1, so their mean squared difference falls with the number of positions: the default is
            for maps of 32 x 32 to 8 x 8, smaller ones need less.
        p: at least 1.
        features: submodules whose outputs are F, joined by ``/``. Both sides need maps of one height and width; their
            channels may differ.
    """

    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.21 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    maps = True

    teacher: Cohort | None
    weight: Number = Number(1000.0)
    p: Number = Number(2.0, low=1.0)
    features: Names = Names("stage1/stage2/stage3")
    graph: GraphOption = GraphOption(None)

    def compare(self, students: Tensor, sources: Tensor) -> Tensor:
        """Mean over positions of (Q_i - Q_j)^2."""
        return at(students, sources, p=self.p)


__all__ = ["AT"]
