"""Neuron selectivity transfer."""

from codistill.losses.features.nst import nst
from codistill.methods import Cohort, Needs
from codistill.methods.parts.features import FeatureMethod
from codistill.methods.parts.options import GraphOption, Names, Number


class NST(FeatureMethod):
    """Students match the distribution of teachers' channel maps.  L_i = CE(z_i, y) + w * sum_j W_ij MMD^2(F_i, F_j)

    MMD^2 = mean k(t, t) + mean k(s, s) - 2 mean k(s, t) over all pairs of channel maps t of F_j and s of F_i, each
    divided by its norm, k(a, b) = (a . b)^2; mean over samples. Huang and Wang 2017, arXiv:1707.01219; w = 10 and the
    last stage as in AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 50).

    Args:
        features: submodules whose outputs are F, joined by ``/``: the mean over them. Both sides need maps of one
            height and width; their channels may differ.
    """

    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.83 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    maps = True

    teacher: Cohort | None
    weight: Number = Number(10.0)
    features: Names = Names("stage3")
    graph: GraphOption = GraphOption(None)
    compare = staticmethod(nst)


__all__ = ["NST"]
