"""Neuron selectivity transfer."""

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph
from codistill.losses.features.nst import nst
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.features import Features


class NST(Method):
    """Every student's channel maps are distributed as teachers'.  L_i = CE(z_i, y) + w * sum_j W_ij MMD^2(F_i, F_j)

    MMD^2 = mean k(t, t) + mean k(s, s) - 2 mean k(s, t) over all pairs of channel maps t of F_j and s of F_i, each
    divided by its norm, k(a, b) = (a . b)^2; mean over samples. Huang and Wang 2017, arXiv:1707.01219; w = 10 and the
    last stage as in AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 50).

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w.
        features: submodules whose outputs are F, joined by ``/``: the mean over them. Both sides need maps of one
            height and width; their channels may differ.
        graph: W[student, teacher], see `KD`.
    """

    title = "NST"
    needs = Needs(teacher="frozen", unlabelled=True, couples="edges")
    cost = "2 / 1, and the teacher's training"
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.83 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 10.0,
        features: str = "stage3",
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.features = Features(features, teacher, graph)
        self.graph = self.features.between_peers
        self.weight = number("weight", weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.features.prepare(cohort, batch, maps=True)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, pairs = self.features(cohort, batch)  # [P, B, C]
        mimic = self.features.mean(pairs, nst)
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": task, "mimic": self.weight * mimic}


__all__ = ["NST"]
