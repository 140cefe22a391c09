"""Training alone."""

from dataclasses import replace

from codistill.losses.labels import confidence
from codistill.methods import Batch, Method, Needs, Peers, Terms, label_loss
from codistill.methods.parts.options import Fraction, Number


class Alone(Method):
    """Every network by itself: the baseline.  L_i = CE(z_i, y) [- beta H(p_i)]

    Label smoothing and the confidence penalty are the baselines that a method which softens posteriors has to beat.

    Args:
        label_smoothing: how much of its mass the label gives up to the uniform distribution, in place of the run's own
            (Szegedy et al., CVPR 2016, arXiv:1512.00567).
        confidence_penalty: beta (Pereyra et al. 2017, arXiv:1701.06548).
    """

    needs = Needs(shards=True, couples="edges")

    label_smoothing: Fraction = Fraction(0.0)
    confidence_penalty: Number = Number(0.0)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        batch = replace(batch, smoothing=self.label_smoothing or batch.smoothing)
        terms = {"task": label_loss(z, batch)}
        if self.confidence_penalty:
            terms["confidence"] = self.confidence_penalty * confidence(z, task=batch.task, mask=batch.mask)
        return terms


__all__ = ["Alone"]
