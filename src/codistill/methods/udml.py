"""Unified deep mutual learning."""

from torch import nn

from codistill.losses import divergences
from codistill.losses.divergence import Divergence
from codistill.losses.features.squared_error import squared_error
from codistill.methods import Batch, Links, Method, Needs, Peers, Terms, along, label_loss, number
from codistill.methods.parts.connectors import connected, where_channels_differ
from codistill.methods.parts.features import Features


class UDML(Method):
    """DML with features.  L_i = CE_i + sum_j W_ij [w D(p_j, p_i) + v mean (r_ij(f_i) - f_j)^2]

    D = KL(p_j || p_i). The mean is over samples and elements. r_ij is a trained 1x1 convolution (a linear layer for
    flat features), one for each edge, where f_i and f_j differ in their channels, else nothing. The form for
    classification of PP-OCRv2's text recognition, Du et al. 2021, arXiv:2109.03144; w = v = 1 as in
    PaddlePaddle/PaddleOCR's configuration. PaddleClas, which has it for classification, taps a late stage, and so do
    we.

    Args:
        weight: w.
        feature_weight: v.
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.
        graph: W.
        divergence: D, as in `DML`.

    We differ: one direction of the KL, as in `DML`; Paddle's DMLLoss is (KL(p || q) + KL(q || p)) / 2, which
    ``divergence=symmetric_kl`` is. Its two networks have one joint loss in which nothing is detached: with that D, the
    same gradient as ours, but for the connectors.
    """

    title = "U-DML"
    needs = Needs(peers=True, unlabelled=True)
    published = (
        "ImageNet, PPLCNet_x2.5: 74.93, with DML 76.68, with U-DML 76.74 (PaddleClas); text recognition: LCNet 0.693, "
        "with U-DML 0.739 (second hand: a summary of 'Dive into OCR')"
    )

    def __init__(
        self,
        weight: float = 1.0,
        feature_weight: float = 1.0,
        features: str = "stage3",
        graph: Links = None,
        divergence: str | Divergence = "kl",
    ) -> None:
        super().__init__(graph)
        self.divergence = divergences.get(divergence)
        self.features = Features(features)
        self.losses = nn.ModuleList()
        self.weight, self.feature_weight = number("weight", weight), number("feature_weight", feature_weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        pairs = self.features.prepare(self.graph, cohort, None, batch)
        self.losses = connected(self.graph, pairs, squared_error, where_channels_differ)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        z, t = students.logits, sources.logits  # [P, B, C]
        mimic = along(self.graph, self.divergence, students=z, sources=t, of=batch)
        feature = self.features.along(self.graph, self.losses, students=students, sources=sources, of=batch)
        return {
            "task": label_loss(z, batch),
            "mimic": self.weight * mimic,
            "feature": self.feature_weight * feature,
        }


__all__ = ["UDML"]
