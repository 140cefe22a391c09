"""Pseudo labels."""

from codistill.losses.divergences.kl import kl
from codistill.methods import Batch, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.imitation import Imitation


class Pseudo(Method):
    """Each network alone labels for itself.  L_i = CE(z_i, y) + w r(t) mean over unlabelled x of s(x) CE(z_i, y'_i)

    y'_i = argmax p_i. The control of what peers learn from unlabelled samples: the same without a peer. s(x) = 1 where
    the network's own largest probability is at least a threshold. Lee 2013 (ICML workshop), which has no threshold.

    Args:
        weight: w.
        threshold: from 0 to 1.
        target: ``hard``, the argmax; ``sharpened:T``.
        burn_in: fraction of the training before which r = 0.
        ramp: fraction of the training over which r rises from there to 1 (see `ramp`).
    """

    title = "Own pseudo labels"
    needs = Needs(unlabelled=True, shards=True, couples="edges")

    def __init__(
        self,
        weight: float = 1.0,
        threshold: float = 0.0,
        target: str = "hard",
        burn_in: float = 0.0,
        ramp: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = number("weight", weight)
        self.imitation = Imitation("unlabelled", target, f"confident:{threshold}", burn_in, ramp)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        mimic = self.imitation.imitate(kl, students=z, sources=cohort.share(z), of=batch, progress=progress)
        return {"task": label_loss(z, batch), "pseudo": self.weight * mimic}


__all__ = ["Pseudo"]
