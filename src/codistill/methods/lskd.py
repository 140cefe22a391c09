"""Distillation of standardised logits."""

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph, along
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import over_classes
from codistill.losses.standardise import standardise
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.sources import Sources


class LSKD(Method):
    """KD of each sample's z-scores.  L_i = a CE(z_i, y) + w * sum_j W_ij T^2 KL(softmax(s_j / T) || softmax(s_i / T))

    s = (z - mean) / (std + 1e-7) over the classes of a sample, for students and sources alike: no network has to take
    over another's scale of logits. Sun et al., CVPR 2024, arXiv:2403.01427; a = 0.1, w = 9, T = 2 as in
    sunshangquan/logit-standardization-KD.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w.
        task_weight: a.
        temperature: T.
        graph: W[student, teacher]: ``everyone`` (the mean over all teachers), ``ring`` (student i from teacher i + 1),
            ``own``, or a matrix.

    w and a are made for a trained teacher. Peers that all start anew agree on anything but the labels with them: give
    ``weight=1,task_weight=1``.
    """

    title = "LSKD"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    cost = "2 / 1, and the teacher's training"
    published = "CIFAR-100, ResNet-32x4 to ResNet-8x4: KD 73.33 -> 76.62 (sunshangquan/logit-standardization-KD)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 9.0,
        task_weight: float = 0.1,
        temperature: float = 2.0,
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.sources = Sources(teacher, graph)
        self.weight = number("weight", weight)
        self.task_weight = number("task_weight", task_weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        over_classes(batch.task, "lskd")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        over_classes(batch.task, "lskd")
        students, sources = self.sources(cohort, batch.x)
        z, task = students.logits, batch.task  # [P, B, C]
        mimic = along(
            self.sources.graph,
            kl,
            students=standardise(z),
            sources=standardise(sources.logits),  # [Q, B, C]
            task=task,
            temperature=self.temperature,
            mask=batch.mask,
        )
        return {
            "task": self.task_weight * cross_entropy(z, batch.y, task=task, mask=batch.mask, smoothing=batch.smoothing),
            "mimic": self.weight * mimic,
        }


__all__ = ["LSKD"]
