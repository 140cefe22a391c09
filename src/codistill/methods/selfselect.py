"""Small-loss selection by one network."""

from typing import ClassVar

from codistill.methods import Needs
from codistill.methods.coteaching import CoTeaching


class SelfSelect(CoTeaching):
    """Each network alone learns from its own small losses.  L_i = mean of CE(z_i, y) over the samples that i keeps

    The control of `CoTeaching`: the same selection without a peer.

    Args:
        rate: the part that is left out in the end: that of wrong labels, if it is known.
        ramp: the fraction of the training over which that part rises from 0.
    """

    title = "Own small losses"
    needs: ClassVar[Needs] = Needs(couples="edges", shards=True)

    def __init__(self, rate: float = 0.2, ramp: float = 0.05) -> None:
        super().__init__(rate, ramp, graph="own")


__all__ = ["SelfSelect"]
