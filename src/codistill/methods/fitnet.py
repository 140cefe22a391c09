"""Hints: regression of features."""

from codistill.losses.features.squared_error import squared_error
from codistill.methods import Cohort, Needs
from codistill.methods.parts.connectors import where_channels_differ
from codistill.methods.parts.features import FeatureMethod
from codistill.methods.parts.options import GraphOption, Names, Number


class FitNet(FeatureMethod):
    """Students regress teachers' features.  L_i = CE(z_i, y) + w * sum_j W_ij mean (r_ij(f_i) - f_j)^2

    The mean is over samples and elements. r_ij is a trained 1x1 convolution (a linear layer for flat features), one for
    each edge, where f_i and f_j differ in their channels, else nothing. Romero et al., ICLR 2015, arXiv:1412.6550;
    w = 0.1 and the last stage as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.

    We differ: one stage of training, where the paper first trains the lower half on the hint alone.
    """

    needs = Needs(teacher="frozen", unlabelled=True)

    teacher: Cohort | None
    weight: Number = Number(0.1)
    features: Names = Names("stage3")
    graph: GraphOption = GraphOption(None)
    compare = staticmethod(squared_error)
    connector = staticmethod(where_channels_differ)


__all__ = ["FitNet"]
