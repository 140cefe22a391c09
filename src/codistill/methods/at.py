"""Attention transfer."""

from functools import partial

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph
from codistill.losses.features.at import at
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.features import Features


class AT(Method):
    """Every student looks where teachers look.  L_i = CE(z_i, y) + w * sum_j W_ij mean over positions of (Q_i - Q_j)^2

    Q = sum_c |F_c|^p over the channels, divided by its norm over positions; the mean over the stages. Zagoruyko and
    Komodakis, ICLR 2017, arXiv:1612.03928; w = 1000, p = 2 and all three stages as in
    AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w. Q is of length 1, so their mean squared difference falls with the number of positions: the default is
            for maps of 32 x 32 to 8 x 8, smaller ones need less.
        p: at least 1.
        features: submodules whose outputs are F, joined by ``/``. Both sides need maps of one height and width; their
            channels may differ.
        graph: W[student, teacher], see `KD`.
    """

    title = "AT"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    cost = "2 / 1, and the teacher's training"
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.21 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 1000.0,
        p: float = 2.0,
        features: str = "stage1/stage2/stage3",
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.features = Features(features, teacher, graph)
        self.graph = self.features.between_peers
        self.weight = number("weight", weight)
        self.p = number("p", p, 1.0)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.features.prepare(cohort, batch, maps=True)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, pairs = self.features(cohort, batch)  # [P, B, C]
        mimic = self.features.mean(pairs, partial(at, p=self.p))
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": task, "mimic": self.weight * mimic}


__all__ = ["AT"]
