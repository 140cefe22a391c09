"""Unified deep mutual learning."""

from codistill.losses.features.squared_error import squared_error
from codistill.methods import Batch, Imitation, Needs, Peers, Terms, label_loss
from codistill.methods.parts.connectors import where_channels_differ
from codistill.methods.parts.features import FeatureMethod
from codistill.methods.parts.options import DivergenceOption, GraphOption, Names, Number


class UDML(FeatureMethod, Imitation):
    """DML with features.  L_i = CE_i + sum_j W_ij [w D(p_j, p_i) + v mean (r_ij(f_i) - f_j)^2]

    D = KL(p_j || p_i). The mean is over samples and elements. r_ij is a trained 1x1 convolution (a linear layer for
    flat features), one for each edge, where f_i and f_j differ in their channels, else nothing. The form for
    classification of PP-OCRv2's text recognition, Du et al. 2021, arXiv:2109.03144; w = v = 1 as in
    PaddlePaddle/PaddleOCR's configuration. PaddleClas, which has it for classification, taps a late stage, and so do
    we.

    Args:
        feature_weight: v.

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

    weight: Number = Number(1.0)
    feature_weight: Number = Number(1.0)
    features: Names = Names("stage3")
    graph: GraphOption = GraphOption(None)
    divergence: DivergenceOption = DivergenceOption("kl")
    compare = staticmethod(squared_error)
    connector = staticmethod(where_channels_differ)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        z, t = students.logits, sources.logits  # [P, B, C]
        mimic = self.along(self.divergence, students=z, sources=t, of=batch, progress=progress)
        feature = self.feature_weight * self.feature_loss(students, sources, batch)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic, "feature": feature}


__all__ = ["UDML"]
