"""Unified deep mutual learning."""

from codistill.batch import Batch
from codistill.checks import number
from codistill.graph import Graph, along
from codistill.losses.divergences.kl import kl
from codistill.losses.features.squared_error import squared_error
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.connectors import connected, where_channels_differ
from codistill.methods.parts.features import Features


class UDML(Method):
    """Peers imitate each other's features too.  L_i = CE_i + sum_j W_ij [w KL(p_j || p_i) + v mean (r_ij(f_i) - f_j)^2]

    The mean is over samples and elements. r_ij is a trained 1x1 convolution (a linear layer for flat features), one for
    each edge, where f_i and f_j differ in their channels, else nothing. The form for classification of PP-OCRv2's text
    recognition, Du et al. 2021, arXiv:2109.03144; w = v = 1 as in PaddlePaddle/PaddleOCR's configuration. PaddleClas,
    which has it for classification, taps a late stage, and so do we.

    Args:
        weight: w.
        feature_weight: v.
        features: submodules whose outputs are f (``:input`` for what goes in), joined by ``/``: the mean over them.
        graph: W.

    We differ: targets are detached, as in `DML`; there the two networks have one joint loss, and nothing is.
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
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.features = Features(features, None, graph)
        self.graph = self.features.between_peers
        self.weight = number("weight", weight)
        self.feature_weight = number("feature_weight", feature_weight)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        pairs = self.features.prepare(cohort, batch)
        self.losses = connected(self.features, pairs, squared_error, where_channels_differ)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, pairs = self.features(cohort, batch)  # [P, B, C]
        graph = self.features.sources.graph
        mimic = along(graph, kl, students=z, sources=cohort.share(z), task=batch.task, mask=batch.mask)
        return {
            "task": cross_entropy(z, batch.y, task=batch.task, mask=batch.mask, smoothing=batch.smoothing),
            "mimic": self.weight * mimic,
            "feature": self.feature_weight * self.features.mean(pairs, self.losses),
        }


__all__ = ["UDML"]
