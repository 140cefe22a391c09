"""Attentive feature distillation."""

from torch import Tensor, nn

from codistill.losses.features.afd import afd
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, label_loss, number
from codistill.methods.parts.connectors import Connected, Excitation, for_edges, where_channels_differ
from codistill.methods.parts.features import Features


class AFD(Method):
    """Students match teachers' weighted channel maps.  L_i = CE(z_i, y) + w * sum_j W_ij sum_c rho_c mean (s_c - t_c)^2

    t_c are the channel maps of F_j, s_c those of F_i (through a trained 1x1 convolution where they differ in number),
    each divided by its norm over positions; the mean is over positions, samples and stages. rho = sigmoid(SE(mean of
    F_j over positions)), divided by its sum; SE is two linear layers with a ReLU between, trained. Wang et al., ICLR
    2020; w = 500, att_f = 1 and all three stages as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher, graph: see `Method`.
        weight: w. Maps are of length 1, so their mean squared difference falls with the number of positions: the
            default is for maps of 32 x 32 to 8 x 8, smaller ones need less.
        att_f: the hidden width of SE, as a part of F_j's channels.
        features: submodules whose outputs are F, joined by ``/``. Both sides need maps of one height and width.

    We differ: the SE block is the Zoo's, in place of the paper's attention; its biases start at 0, its weights as
    those of any convolution. SE and connector are one for each edge.
    """

    title = "AFD"
    needs = Needs(teacher="frozen", unlabelled=True, parameters=True)
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.92 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 500.0,
        att_f: float = 1.0,
        features: str = "stage1/stage2/stage3",
        graph: Links = None,
    ) -> None:
        super().__init__(graph, teacher)
        self.features = Features(features)
        self.losses = nn.ModuleList()
        self.weight = number("weight", weight)
        self.att_f = number("att_f", att_f, 1e-6)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        def weights(edges: int, student: Tensor, source: Tensor) -> nn.Module:
            return Excitation(edges, source, max(1, int(source.shape[1] * self.att_f)))

        self.losses = nn.ModuleList(
            Connected(
                afd,
                for_edges(self.graph, pair, where_channels_differ),
                for_edges(self.graph, pair, weights),
            )
            for pair in self.features.prepare(self.graph, cohort, self.teacher, batch, maps=True)
        )

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        mimic = self.features.along(self.graph, self.losses, students=students, sources=sources, of=batch)
        return {"task": label_loss(students.logits, batch), "mimic": self.weight * mimic}


__all__ = ["AFD"]
