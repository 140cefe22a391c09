"""Training alone."""

from codistill.batch import Batch
from codistill.checks import number
from codistill.losses.labels import confidence, cross_entropy
from codistill.methods import Method, Needs, Peers, Terms


class Alone(Method):
    """Every network by itself: the baseline.  L_i = CE(z_i, y) [- beta H(p_i)]

    With ``label_smoothing`` the label gives up so much of its mass to the uniform distribution (Szegedy et al., CVPR
    2016, arXiv:1512.00567); ``confidence_penalty`` is beta (Pereyra et al. 2017, arXiv:1701.06548). Both are the
    baselines that a method which softens posteriors has to beat.
    """

    title = "Alone"
    needs = Needs(shards=True, couples="edges")

    def __init__(self, label_smoothing: float = 0.0, confidence_penalty: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = number("label_smoothing", label_smoothing, 0.0, 1.0)
        self.confidence_penalty = number("confidence_penalty", confidence_penalty)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        y, task, mask = batch.y, batch.task, batch.mask
        terms = {"task": cross_entropy(z, y, task=task, smoothing=self.label_smoothing or batch.smoothing, mask=mask)}
        if self.confidence_penalty:
            terms["confidence"] = self.confidence_penalty * confidence(z, task=task, mask=mask)
        return terms


__all__ = ["Alone"]
