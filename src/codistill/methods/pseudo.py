"""Pseudo labels."""

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import Choice, Number, TargetOption


class Pseudo(Imitation):
    """Each network alone labels for itself.  L_i = CE(z_i, y) + w r(t) mean over unlabelled x of s(x) CE(z_i, y'_i)

    y'_i = argmax p_i. The control of what peers learn from unlabelled samples: the same without a peer. Lee 2013 (ICML
    workshop); with ``select=confident:0.95``, the threshold of FixMatch without its two views.

    We differ: one network is trained with all weights of the unlabelled samples from the start unless ``ramp`` is set.
    """

    title = "Own pseudo labels"
    needs = Needs(unlabelled=True, shards=True, couples="edges")

    weight: Number = Number(1.0)
    on: Choice = Choice("unlabelled", "labelled", "all")
    target: TargetOption = TargetOption("hard")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        mimic = self.imitate(kl, students=z, sources=cohort.share(z), of=batch, progress=progress)
        return {"task": label_loss(z, batch), "pseudo": self.weight * mimic}


__all__ = ["Pseudo"]
