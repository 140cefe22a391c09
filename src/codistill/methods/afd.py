"""Attentive feature distillation."""

from torch import Tensor, nn

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph
from codistill.losses.features.afd import afd
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.connectors import Connected, Excitation, for_edges, where_channels_differ
from codistill.methods.parts.features import Features


class AFD(Method):
    """Students imitate teachers' maps by weight.  L_i = CE(z_i, y) + w * sum_j W_ij sum_c rho_c mean (s_c - t_c)^2

    t_c are the channel maps of F_j, s_c those of F_i (through a trained 1x1 convolution where they differ in number),
    each divided by its norm over positions; the mean is over positions, samples and stages. rho = sigmoid(SE(mean of
    F_j over positions)), divided by its sum; SE is two linear layers with a ReLU between, trained. Wang et al., ICLR
    2020; w = 500, att_f = 1 and all three stages as in AberHu/Knowledge-Distillation-Zoo.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: the peers imitate each other.
        weight: w. Maps are of length 1, so their mean squared difference falls with the number of positions: the
            default is for maps of 32 x 32 to 8 x 8, smaller ones need less.
        att_f: the hidden width of SE, as a part of F_j's channels.
        features: submodules whose outputs are F, joined by ``/``. Both sides need maps of one height and width.
        graph: W[student, teacher], see `KD`.

    We differ: the SE block is the Zoo's, in place of the paper's attention; its biases start at 0, its weights as
    those of any convolution. SE and connector are one for each edge.
    """

    title = "AFD"
    needs = Needs(teacher="frozen", unlabelled=True, parameters=True)
    cost = "2 / 1, and the teacher's training"
    published = "CIFAR-10, ResNet-110 to ResNet-20: 92.37 -> 92.92 (AberHu/Knowledge-Distillation-Zoo, best epoch)"

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 500.0,
        att_f: float = 1.0,
        features: str = "stage1/stage2/stage3",
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.features = Features(features, teacher, graph)
        self.graph = self.features.between_peers
        self.weight = number("weight", weight)
        self.att_f = number("att_f", att_f, 1e-6)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        def weights(edges: int, student: Tensor, source: Tensor) -> nn.Module:
            return Excitation(edges, source, max(1, int(source.shape[1] * self.att_f)))

        self.losses = nn.ModuleList(
            Connected(
                afd,
                for_edges(self.features, pair, where_channels_differ),
                for_edges(self.features, pair, weights),
            )
            for pair in self.features.prepare(cohort, batch, maps=True)
        )

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, pairs = self.features(cohort, batch)  # [P, B, C]
        mimic = self.features.mean(pairs, self.losses)
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing)
        return {"task": task, "mimic": self.weight * mimic}


__all__ = ["AFD"]
