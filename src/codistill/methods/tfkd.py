"""Teacher-free distillation: from a past self."""

from codistill.losses.divergences.kl import kl
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, along, label_loss, number


class TfKD(Method):
    """Every network imitates its past self.  L_i = (1-a) CE(z_i, y) + a (m/100) T^2 KL(q_i^T || p_i^T)

    q_i is what network i had become when it was trained alone, frozen. Yuan et al., CVPR 2020, arXiv:1909.11723. T = 6,
    a = 0.95, m = 50 are those of ResNet-18 on CIFAR-100 in yuanli2333/Teacher-free-Knowledge-Distillation, where m
    multiplies a mean over samples and its 100 classes: m/100 of the mean over samples alone, which we take for any
    number of classes. MobileNetV2 and ShuffleNetV2 have T = 20, m = 1 there, ResNeXt29 T = 20, a = 0.9, m = 100.

    Args:
        teacher: the past selves, a frozen cohort; a run also takes the folder of a finished run, a comparison the same
            networks trained alone. None: the peers imitate each other.
        alpha: a.
        temperature: T.
        multiplier: m.
        graph: W[student, teacher]; None: ``own``, student i from teacher i.
    """

    title = "Tf-KD self"
    needs = Needs(teacher="past", unlabelled=True, couples="edges")
    cost = "2 / 1, and the past self's training"
    published = "CIFAR-100: ResNeXt29 81.03 -> 82.08 (yuanli2333/Teacher-free-Knowledge-Distillation, the authors')"

    def __init__(
        self,
        teacher: Cohort | None,
        alpha: float = 0.95,
        temperature: float = 6.0,
        multiplier: float = 50.0,
        graph: Links = None,
    ) -> None:
        super().__init__("own" if graph is None and teacher is not None else graph, teacher)
        self.alpha = number("alpha", alpha, 0.0, 1.0)
        self.temperature = number("temperature", temperature, 1e-6)
        self.multiplier = number("multiplier", multiplier)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if self.teacher is not None and bool((self.graph.matrix(len(cohort), len(self.teacher)).sum(1) == 0).any()):
            raise ValueError(
                f"teacher has {len(self.teacher)} networks for {len(cohort)} peers, and each learns from its past "
                "self: give it as many, or graph=everyone"
            )

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        z, t = students.logits, sources.logits  # [P, B, C], [Q, B, C]
        mimic = along(self.graph, kl, students=z, sources=t, of=batch, temperature=self.temperature)
        task = (1.0 - self.alpha) * label_loss(z, batch)
        return {"task": task, "mimic": self.alpha * self.multiplier / 100.0 * mimic}


__all__ = ["TfKD"]
