"""Co-teaching."""

from dataclasses import replace

from codistill.graph import mix
from codistill.losses.posterior import log_posterior
from codistill.losses.selections import kept_part, small_losses
from codistill.methods import Batch, Method, Needs, Peers, Terms, label_loss
from codistill.methods.parts.exchange import Exchange
from codistill.methods.parts.options import Fraction, GraphOption


class CoTeaching(Method):
    """Peers choose each other's samples, for wrong labels.  L_i = mean of CE(z_i, y) over the samples that peer j keeps

    Peer j, the next of i, keeps the part R(t) = 1 - rate min(t / ramp, 1) of a batch with its least CE. Nothing else
    passes between them. Han et al., NeurIPS 2018, arXiv:1804.06872; ``ramp`` 10 of 200 epochs as in bhanML/Co-teaching.

    Args:
        rate: the part that is left out in the end: that of wrong labels, if it is known.
        ramp: the fraction of the training over which that part rises from 0.
        graph: who chooses for whom: ``ring``, the next peer; ``own``, each for itself, which is `SelfSelect`.

    We differ: R falls from step to step and not from epoch to epoch; of more than two peers, the next one chooses.
    """

    title = "Co-teaching"
    needs = Needs(peers=True, couples="edges")

    rate: Fraction = Fraction(0.2)
    ramp: Fraction = Fraction(0.05)
    graph: GraphOption = GraphOption("ring")

    @property
    def tells(self) -> Exchange | None:
        told = super().tells
        return told and replace(told, what="choices", on="labelled")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        log_p, part = log_posterior(cohort.share(z), batch.task), kept_part(self.rate, self.ramp, progress)
        chosen = small_losses(log_p, batch, part)  # [P, B], each peer's own choice
        received = mix(self.graph, chosen.to(z.dtype), len(z)) > 0.5
        return {"task": label_loss(z, replace(batch, mask=received))}


__all__ = ["CoTeaching"]
