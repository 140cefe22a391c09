"""Small-loss selection by one network."""

from codistill.methods import Needs
from codistill.methods.coteaching import CoTeaching
from codistill.methods.parts.options import Fraction, GraphOption


class SelfSelect(CoTeaching):
    """Each network alone learns from its own small losses.  L_i = mean of CE(z_i, y) over the samples that i keeps

    The control of `CoTeaching`, Han et al., NeurIPS 2018, arXiv:1804.06872: the same selection without a peer.
    """

    title = "Own small losses"
    needs = Needs(couples="edges", shards=True)

    rate: Fraction = Fraction(0.2)
    ramp: Fraction = Fraction(0.05)
    graph: GraphOption = GraphOption("own")


__all__ = ["SelfSelect"]
