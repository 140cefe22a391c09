"""Mutual mean teaching."""

from dataclasses import replace

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.ema import Averages
from codistill.methods.parts.options import Flag, Fraction, GraphOption, Temperature


class MMT(Imitation):
    """Peers imitate the EMAs of the others' weights.  L_i = (1-w) CE(z_i, y) + w r(t) T^2 sum_j W_ij KL(q_j^T || p_i^T)

    q_j is the posterior of the exponential moving average of peer j (decay 0.999, see `Averages`); peer i sees view i,
    the average of peer j view j. Ge et al., ICLR 2020, arXiv:2001.01526: the classification part; the views, w = 0.5, T
    = 1 and the decay as in yxgeee/MMT. With ``graph="own"`` each imitates its own average: the mean teacher, Tarvainen
    and Valpola, NeurIPS 2017, arXiv:1703.01780, with KL for its squared error, and one view for both.

    Args:
        own_views: false: all peers and averages share one view, which needs no augmentation.

    We differ: KL where the paper has the soft cross-entropy, of the same gradient; no label smoothing; no triplet part.
    """

    needs = Needs(peers=True, own_views=True, unlabelled=True, common=True, couples="edges")
    cost = "2 / 1"

    weight: Fraction = Fraction(0.5)
    temperature: Temperature = Temperature(1.0)
    decay: Fraction = Fraction(0.999)
    graph: GraphOption = GraphOption(None)
    own_views: Flag = Flag(True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs = replace(self.needs, own_views=self.own_views)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.averages = Averages(cohort, self.decay)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, q = cohort(batch.x).logits, self.averages(batch.x)  # [P, B, C]
        mimic = self.along(kl, students=z, sources=q, of=batch, progress=progress)
        return {"task": (1.0 - self.weight) * label_loss(z, batch), "mimic": self.weight * mimic}

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        self.averages.follow(cohort)


__all__ = ["MMT"]
