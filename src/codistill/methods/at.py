"""Attention transfer."""

from functools import partial

from codistill.losses.features.at import at
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.features import Features


class AT(Method):
    """Students match teachers' attention maps.  L_i = CE(z_i, y) + w * sum_j W_ij mean over positions of (Q_i - Q_j)^2

    Q = sum_c |F_c|^p over the channels, divided by its norm over positions; the mean over the stages. Zagoruyko and
    Komodakis, ICLR 2017, arXiv:1612.03928; w = 1000, p = 2 and all three stages as in
    AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher, graph: see `Method`.
        weight: w. Q is of length 1, so their mean squared difference falls with the number of positions: the default is
            for maps of 32 x 32 to 8 x 8, smaller ones need less.
        p: at least 1.
        features: submodules whose outputs are F, joined by ``/``. Both sides need maps of one height and width; their
            channels may differ.
    """

    title = "AT"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.21 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 1000.0,
        p: float = 2.0,
        features: str = "stage1/stage2/stage3",
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.features = Features(features)
        self.weight = number("weight", weight)
        self.p = number("p", p, 1.0)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.features.prepare(self.graph, cohort, self.teacher, batch, maps=True)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        mimic = self.features.along(self.graph, partial(at, p=self.p), students=students, sources=sources, of=batch)
        return {"task": label_loss(students.logits, batch), "mimic": self.weight * mimic}


__all__ = ["AT"]
