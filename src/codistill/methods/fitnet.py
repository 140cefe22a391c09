"""Hints: regression of features."""

from torch import nn

from codistill.losses.features.squared_error import squared_error
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.connectors import connected, where_channels_differ
from codistill.methods.parts.features import Features


class FitNet(Method):
    """Students regress teachers' features.  L_i = CE(z_i, y) + w * sum_j W_ij mean (r_ij(f_i) - f_j)^2

    The mean is over samples and elements. r_ij is a trained 1x1 convolution (a linear layer for flat features), one for
    each edge, where f_i and f_j differ in their channels, else nothing. Romero et al., ICLR 2015, arXiv:1412.6550;
    w = 0.1 and the last stage as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher, graph: see `Method`.
        weight: w.
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.

    We differ: one stage of training, where the paper first trains the lower half on the hint alone.
    """

    title = "FitNet"
    needs = Needs(teacher="frozen", unlabelled=True)

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 0.1,
        features: str = "stage3",
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.features = Features(features)
        self.losses = nn.ModuleList()
        self.weight = number("weight", weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        pairs = self.features.prepare(self.graph, cohort, self.teacher, batch)
        self.losses = connected(self.graph, pairs, squared_error, where_channels_differ)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        mimic = self.features.along(self.graph, self.losses, students=students, sources=sources, of=batch)
        return {"task": label_loss(students.logits, batch), "mimic": self.weight * mimic}


__all__ = ["FitNet"]
