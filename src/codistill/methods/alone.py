"""Training alone."""

from dataclasses import replace

from codistill.losses.labels import confidence
from codistill.methods import Batch, Method, Needs, Peers, Terms, label_loss
from codistill.methods.parts.options import Fraction, Number


class Alone(Method):
    """Every network by itself: the baseline.  L_i = CE(z_i, y) [- beta H(p_i)]

    With ``label_smoothing`` (which takes the place of the run's own) the label gives up so much of its mass to the
    uniform distribution (Szegedy et al., CVPR 2016, arXiv:1512.00567); ``confidence_penalty`` is beta (Pereyra et al.
    2017, arXiv:1701.06548). Both are the baselines that a method which softens posteriors has to beat.
    """

    title = "Alone"
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
