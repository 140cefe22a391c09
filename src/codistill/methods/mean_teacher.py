"""Mean teacher."""

from codistill.losses import divergences
from codistill.losses.divergence import Divergence
from codistill.methods import Batch, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.ema import Averages
from codistill.methods.parts.imitation import Imitation


class MeanTeacher(Method):
    """Each network alone imitates its own average.  L_i = CE(z_i, y) + w r(t) mean over x in ON of s(x) D(q_i, p_i)

    q_i is the posterior of the exponential moving average of network i (see `Averages`). The control of what peers
    learn from unlabelled samples: the same without a peer. Tarvainen and Valpola, NeurIPS 2017, arXiv:1703.01780.

    Args:
        weight: w.
        decay: of the average.
        divergence: D, as in `DML`.
        on, target, select, burn_in, ramp: see `Imitation`.

    We differ: KL(q || p) where the paper has the squared error of probabilities; both predict for the same view.
    """

    title = "Mean teacher"
    needs = Needs(unlabelled=True, shards=True, couples="edges")
    cost = "2 / 1"

    def __init__(
        self,
        weight: float = 1.0,
        decay: float = 0.99,
        divergence: str | Divergence = "kl",
        on: str = "all",
        target: str = "soft",
        select: str = "all",
        burn_in: float = 0.0,
        ramp: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = number("weight", weight)
        self.averages = Averages(number("decay", decay, 0.0, 1.0))
        self.divergence = divergences.get(divergence)
        self.imitation = Imitation(on, target, select, burn_in, ramp)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.averages.start(cohort)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, q = cohort(batch.x).logits, self.averages(batch.x)  # [P, B, C]
        mimic = self.imitation.imitate(self.divergence, students=z, sources=q, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        self.averages.follow(cohort)


__all__ = ["MeanTeacher"]
