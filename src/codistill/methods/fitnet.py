"""Hints: regression of features."""

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph
from codistill.losses.features.squared_error import squared_error
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.connectors import connected, where_channels_differ
from codistill.methods.parts.features import Features


class FitNet(Method):
    """Every student regresses teachers' features.  L_i = CE(z_i, y) + w * sum_j W_ij mean (r_ij(f_i) - f_j)^2

    The mean is over samples and elements. r_ij is a trained 1x1 convolution (a linear layer for flat features), one for
    each edge, where f_i and f_j differ in their channels, else nothing. Romero et al., ICLR 2015, arXiv:1412.6550;
    w = 0.1 and the last stage as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w.
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.
        graph: W[student, teacher], see `KD`.

    We differ: one stage of training, where the paper first trains the lower half on the hint alone.
    """

    title = "FitNet"
    needs = Needs(teacher="frozen", unlabelled=True)
    cost = "2 / 1, and the teacher's training"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 0.1,
        features: str = "stage3",
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.features = Features(features, teacher, graph)
        self.graph = self.features.between_peers
        self.weight = number("weight", weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        pairs = self.features.prepare(cohort, batch)
        self.losses = connected(self.features, pairs, squared_error, where_channels_differ)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, pairs = self.features(cohort, batch)  # [P, B, C]
        mimic = self.features.mean(pairs, self.losses)
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": task, "mimic": self.weight * mimic}


__all__ = ["FitNet"]
