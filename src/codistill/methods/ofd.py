"""The overhaul of feature distillation."""

from functools import partial

from torch import nn

from codistill.losses.features.ofd import ofd
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.connectors import Connector, connected
from codistill.methods.parts.features import Features


class OFD(Method):
    """Students match teachers' features before the ReLU.  L_i = CE(z_i, y) + w * sum_j W_ij mean m (s - t)^2

    F is the map before the ReLU; s = BN(1x1 conv(F_i)), a trained connector for each edge; t = max(F_j, margin), the
    margin of each channel the mean of F_j's negative values in the batch; m is 0 where s <= t <= 0, else 1. The mean is
    over samples, elements and stages. Heo et al., ICCV 2019, arXiv:1904.01866; w = 0.5 and all three stages as in
    AberHu/Knowledge-Distillation-Zoo (megvii-research/mdistiller: 0.001).

    Args:
        teacher, graph: see `Method`.
        weight: w.
        features: submodules, joined by ``/``: F is what goes into the last ReLU of each. A name with a side
            (``stage1.bn:output``) is F itself. Both sides need maps of one height and width.

    We differ: the margin is of the batch, as in the Zoo; the paper's comes from the teacher's batch norm.
    """

    title = "OFD"
    needs = Needs(teacher="frozen", unlabelled=True, parameters=True)
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 93.13 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 0.5,
        features: str = "stage1/stage2/stage3",
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.features = Features(features, pre_relu=True)
        self.losses = nn.ModuleList()
        self.weight = number("weight", weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        pairs = self.features.prepare(self.graph, cohort, self.teacher, batch)
        self.losses = connected(self.graph, pairs, ofd, partial(Connector, norm=True))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        mimic = self.features.along(self.graph, self.losses, students=students, sources=sources, of=batch)
        return {"task": label_loss(students.logits, batch), "mimic": self.weight * mimic}


__all__ = ["OFD"]
