"""The overhaul of feature distillation."""

from functools import partial

from codistill.losses.features.ofd import ofd
from codistill.methods import Cohort, Needs
from codistill.methods.parts.connectors import Connector
from codistill.methods.parts.features import FeatureMethod
from codistill.methods.parts.options import GraphOption, Names, Number


class OFD(FeatureMethod):
    """Students match teachers' features before the ReLU.  L_i = CE(z_i, y) + w * sum_j W_ij mean m (s - t)^2

    F is the map before the ReLU; s = BN(1x1 conv(F_i)), a trained connector for each edge; t = max(F_j, margin), the
    margin of each channel the mean of F_j's negative values in the batch; m is 0 where s <= t <= 0, else 1. The mean is
    over samples, elements and stages. Heo et al., ICCV 2019, arXiv:1904.01866; w = 0.5 and all three stages as in
    AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 0.001).

    Args:
        features: submodules, joined by ``/``: F is what goes into the last ReLU of each. A name with a side
            (``stage1.bn:output``) is F itself. Both sides need maps of one height and width.

    We differ: the margin is of the batch, as in the Zoo; the paper's comes from the teacher's batch norm.
    """

    needs = Needs(teacher="frozen", unlabelled=True, parameters=True)
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.13 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    pre_relu = True

    teacher: Cohort | None
    weight: Number = Number(0.5)
    features: Names = Names("stage1/stage2/stage3")
    graph: GraphOption = GraphOption(None)
    compare = staticmethod(ofd)
    connector = staticmethod(partial(Connector, norm=True))


__all__ = ["OFD"]
