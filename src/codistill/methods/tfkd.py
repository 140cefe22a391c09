"""Teacher-free distillation: from a past self."""

from codistill.graph import own
from codistill.methods import Batch, Cohort, Graph, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import Fraction, GraphOption, Number, Temperature


class TfKD(Imitation):
    """Every network imitates its past self.  L_i = (1-a) CE(z_i, y) + a (m/100) T^2 KL(q_i^T || p_i^T)

    q_i is what network i had become when it was trained alone, frozen. Yuan et al., CVPR 2020, arXiv:1909.11723. T = 6,
    a = 0.95, m = 50 are those of ResNet-18 on CIFAR-100 in yuanli2333/Teacher-free-Knowledge-Distillation, where m
    multiplies a mean over samples and its 100 classes: m/100 of the mean over samples alone, which we take for any
    number of classes. MobileNetV2 and ShuffleNetV2 have T = 20, m = 1 there, ResNeXt29 T = 20, a = 0.9, m = 100.

    Args:
        teacher: the past selves, a frozen cohort; a run also takes the folder of a finished run, a comparison the same
            networks trained alone. None: the peers imitate each other.
        alpha: a.
        multiplier: m.
        graph: W[student, teacher]; None: ``own``, student i from teacher i.
    """

    title = "Tf-KD self"
    needs = Needs(teacher="past", unlabelled=True, couples="edges")
    cost = "2 / 1, and the past self's training"
    published = "CIFAR-100: ResNeXt29 81.03 -> 82.08 (yuanli2333/Teacher-free-Knowledge-Distillation, the authors')"

    teacher: Cohort | None
    alpha: Fraction = Fraction(0.95)
    temperature: Temperature = Temperature(6.0)
    multiplier: Number = Number(50.0)
    graph: GraphOption = GraphOption(None)

    def default_graph(self) -> Graph:
        return super().default_graph() if self.teacher is None else own()

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if self.teacher is not None and bool((self.graph.matrix(len(cohort), len(self.teacher)).sum(1) == 0).any()):
            raise ValueError(
                f"teacher has {len(self.teacher)} networks for {len(cohort)} peers, and each learns from its past "
                "self: give it as many, or graph=everyone"
            )

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, t = self.logits(cohort, batch)  # [P, B, C], [Q, B, C]
        mimic = self.along(kl, students=z, sources=t, of=batch, progress=progress)
        task = (1.0 - self.alpha) * label_loss(z, batch)
        return {"task": task, "mimic": self.alpha * self.multiplier / 100.0 * mimic}


__all__ = ["TfKD"]
