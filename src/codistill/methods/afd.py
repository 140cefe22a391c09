"""Attentive feature distillation."""

from torch import Tensor, nn

from codistill.losses.features.afd import afd
from codistill.methods import Cohort, Needs
from codistill.methods.parts.connectors import Excitation, where_channels_differ
from codistill.methods.parts.features import FeatureMethod, Pair, for_edges
from codistill.methods.parts.options import GraphOption, Names, Number


class AFD(FeatureMethod):
    """Students match teachers' weighted channel maps.  L_i = CE(z_i, y) + w * sum_j W_ij sum_c rho_c mean (s_c - t_c)^2

    t_c are the channel maps of F_j, s_c those of F_i (through a trained 1x1 convolution where they differ in number),
    each divided by its norm over positions; the mean is over positions, samples and stages. rho = sigmoid(SE(mean of
    F_j over positions)), divided by its sum; SE is two linear layers with a ReLU between, trained. Wang et al., ICLR
    2020; w = 500, att_f = 1 and all three stages as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        weight: w. Maps are of length 1, so their mean squared difference falls with the number of positions: the
            default is for maps of 32 x 32 to 8 x 8, smaller ones need less.
        att_f: the hidden width of SE, as a part of F_j's channels.
        features: submodules whose outputs are F, joined by ``/``. Both sides need maps of one height and width.

    We differ: the SE block is the Zoo's, in place of the paper's attention; its biases start at 0, its weights as
    those of any convolution. SE and connector are one for each edge.
    """

    needs = Needs(teacher="frozen", unlabelled=True, parameters=True)
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.92 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    maps = True

    teacher: Cohort | None
    weight: Number = Number(500.0)
    att_f: Number = Number(1.0, low=1e-6)
    features: Names = Names("stage1/stage2/stage3")
    graph: GraphOption = GraphOption(None)
    compare = staticmethod(afd)

    def connectors(self, pair: Pair) -> tuple[nn.ModuleList, ...]:
        return for_edges(self.graph, pair, where_channels_differ), for_edges(self.graph, pair, self._excitation)

    def _excitation(self, edges: int, student: Tensor, source: Tensor) -> nn.Module:
        return Excitation(edges, source, max(1, int(source.shape[1] * self.att_f)))


__all__ = ["AFD"]
