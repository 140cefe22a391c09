"""The overhaul of feature distillation."""

from functools import partial

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph
from codistill.losses.features.ofd import ofd
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.connectors import Connector, connected
from codistill.methods.parts.features import Features


class OFD(Method):
    """Students imitate what teachers' ReLUs get.  L_i = CE(z_i, y) + w * sum_j W_ij mean m (s - t)^2

    F is the map before the ReLU; s = BN(1x1 conv(F_i)), a trained connector for each edge; t = max(F_j, margin), the
    margin of each channel the mean of F_j's negative values in the batch; m is 0 where s <= t <= 0, else 1. The mean is
    over samples, elements and stages. Heo et al., ICCV 2019, arXiv:1904.01866; w = 0.5 and all three stages as in
    AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 0.001).

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w.
        features: submodules, joined by ``/``: F is what goes into the last ReLU of each. A name with a side
            (``stage1.bn:output``) is F itself. Both sides need maps of one height and width.
        graph: W[student, teacher], see `KD`.

    We differ: the margin is of the batch, as in the Zoo; the paper's comes from the teacher's batch norm.
    """

    title = "OFD"
    needs = Needs(teacher="frozen", unlabelled=True, parameters=True)
    cost = "2 / 1, and the teacher's training"
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.13 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 0.5,
        features: str = "stage1/stage2/stage3",
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.features = Features(features, teacher, graph, pre_relu=True)
        self.graph = self.features.between_peers
        self.weight = number("weight", weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        pairs = self.features.prepare(cohort, batch)
        self.losses = connected(self.features, pairs, ofd, partial(Connector, norm=True))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, pairs = self.features(cohort, batch)  # [P, B, C]
        mimic = self.features.mean(pairs, self.losses)
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": task, "mimic": self.weight * mimic}


__all__ = ["OFD"]
