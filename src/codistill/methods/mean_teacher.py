"""Mean teacher."""

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, label_loss
from codistill.methods.parts.ema import Averages
from codistill.methods.parts.options import DivergenceOption, Fraction, Number


class MeanTeacher(Imitation):
    """Each network alone imitates its own average.  L_i = CE(z_i, y) + w D(q_i, p_i)

    q_i is the posterior of the exponential moving average of network i. The control of what peers learn from unlabelled
    samples: the same without a peer. Tarvainen and Valpola, NeurIPS 2017, arXiv:1703.01780.

    We differ: KL(q || p) where the paper has the squared error of probabilities; both predict for the same view.
    """

    title = "Mean teacher"
    needs = Needs(unlabelled=True, shards=True, couples="edges")
    cost = "2 / 1"

    weight: Number = Number(1.0)
    decay: Fraction = Fraction(0.99)
    divergence: DivergenceOption = DivergenceOption("kl")

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.averages = Averages(cohort, self.decay)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, q = cohort(batch.x).logits, self.averages(batch.x)  # [P, B, C]
        mimic = self.imitate(self.divergence, students=z, sources=q, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        self.averages.follow(cohort)


__all__ = ["MeanTeacher"]
