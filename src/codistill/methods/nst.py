"""Neuron selectivity transfer."""

from codistill.losses.features.nst import nst
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.features import Features


class NST(Method):
    """Students match the distribution of teachers' channel maps.  L_i = CE(z_i, y) + w * sum_j W_ij MMD^2(F_i, F_j)

    MMD^2 = mean k(t, t) + mean k(s, s) - 2 mean k(s, t) over all pairs of channel maps t of F_j and s of F_i, each
    divided by its norm, k(a, b) = (a . b)^2; mean over samples. Huang and Wang 2017, arXiv:1707.01219; w = 10 and the
    last stage as in AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 50).

    Args:
        teacher, graph: see `Method`.
        weight: w.
        features: submodules whose outputs are F, joined by ``/``: the mean over them. Both sides need maps of one
            height and width; their channels may differ.
    """

    title = "NST"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.83 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 10.0,
        features: str = "stage3",
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.features = Features(features)
        self.weight = number("weight", weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.features.prepare(self.graph, cohort, self.teacher, batch, maps=True)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        mimic = self.features.along(self.graph, nst, students=students, sources=sources, of=batch)
        return {"task": label_loss(students.logits, batch), "mimic": self.weight * mimic}


__all__ = ["NST"]
