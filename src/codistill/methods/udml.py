"""Unified deep mutual learning."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codistill.batch import Batch
from codistill.cohort import Feature
from codistill.graph import Graph, along, along_features, complete, named
from codistill.losses.cross_entropy import cross_entropy
from codistill.losses.kl import kl
from codistill.losses.posterior import full_precision
from codistill.losses.squared_error import squared_error
from codistill.methods import Method, Peers, Terms, number
from codistill.methods.mixing import linear


class UDML(Method):
    """Peers imitate each other's features too.  L_i = CE_i + sum_j W_ij [w KL(p_j || p_i) + v (r_ij f_i - f_j)^2]

    The square is the mean over samples and elements. r is the identity where shapes agree; where they do not, a learnt
    1x1 convolution of student i's map, first averaged to the size of j's. The form for classification of PP-OCRv2's
    text recognition, Du et al. 2021, arXiv:2109.03144; w = v = 1 as in PaddlePaddle/PaddleOCR's configuration. Its
    counterpart for classification, in PaddleClas, taps a late stage, so do we.

    Args:
        weight: w.
        feature_weight: v.
        feature: submodule whose output is f (``:input`` for what goes in).
        graph: W.

    We differ: targets are detached, as in `DML`; there the two networks have one joint loss and nothing is.
    """

    title = "U-DML"
    needs = "peers"
    published = (
        "ImageNet, PPLCNet_x2.5: 74.93, with DML 76.68, with U-DML 76.74 (PaddleClas); text recognition: LCNet 0.693, "
        "with U-DML 0.739 (second hand: a summary of 'Dive into OCR')"
    )
    mutual = True
    semi = True

    def __init__(
        self,
        weight: float = 1.0,
        feature_weight: float = 1.0,
        feature: str = "stage3",
        graph: str | Graph | None = None,
    ) -> None:
        super().__init__()
        self.graph: Graph = complete() if graph is None else named(graph)
        self.weight = number("weight", weight)
        self.feature_weight = number("feature_weight", feature_weight)
        self.feature = feature
        self.connectors = nn.ParameterDict()  # "student-source" -> [channels of the source, channels of the student]

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        cohort.tap(self.feature)
        with torch.no_grad():
            f = cohort(batch.x).features[self.feature]
        w = self.graph.matrix(len(cohort))
        self.edges = [(i, j, float(w[i, j])) for i, j in w.nonzero().tolist()]
        for i, j, _ in self.edges:
            if f[i].shape == f[j].shape:
                continue
            if f[i].dim() != f[j].dim() or (f[i].dim() != 4 and f[i].shape[2:] != f[j].shape[2:]):
                raise ValueError(
                    f"feature={self.feature!r} is {list(f[i].shape[1:])} in peer {i} and {list(f[j].shape[1:])} in "
                    f"peer {j}: tap maps of both, or a flat feature of both, e.g. fc:input"
                )
            self.connectors[f"{i}-{j}"] = linear(f[j].shape[1], f[i].shape[1], like=full_precision(f[i]))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        outputs = cohort(batch.x)
        z, task, mask = outputs.logits, batch.task, batch.mask  # [P, B, C]
        mimic = along(self.graph, kl, students=z, sources=cohort.share(z), task=task, mask=mask)
        f = outputs.features[self.feature]
        return {
            "task": cross_entropy(z, batch.y, task=task, mask=mask),
            "mimic": self.weight * mimic,
            "feature": self.feature_weight * self._features(f, cohort.share(f)),
        }

    def _features(self, students: Feature, sources: Feature) -> Tensor:
        """sum_j W_ij of the squared errors, ``[P]``."""
        if isinstance(students, Tensor) and isinstance(sources, Tensor):
            students, sources = full_precision(students), full_precision(sources)
            return along_features(self.graph, squared_error, students=students, sources=sources)
        totals = [full_precision(f).new_zeros(1) for f in students]
        for i, j, w in self.edges:
            student, source = full_precision(students[i]), full_precision(sources[j])
            if f"{i}-{j}" in self.connectors:
                student = connected(student, self.connectors[f"{i}-{j}"], source)
            totals[i] = totals[i] + w * squared_error(student.unsqueeze(0), source.unsqueeze(0))
        return torch.cat(totals)


def connected(student: Tensor, weight: Tensor, source: Tensor) -> Tensor:
    """A student's map ``[B, C, ...]`` in the shape of a source's."""
    if student.shape[2:] != source.shape[2:]:
        height, width = source.shape[2:]
        student = F.adaptive_avg_pool2d(student, (height, width))
    return torch.einsum("oc,bc...->bo...", weight, student)


__all__ = ["UDML"]
