"""Deep mutual learning."""

from dataclasses import replace

import torch

from codistill.graph import complete
from codistill.methods import Batch, Graph, Imitation, Needs, Peers, Terms, label_loss
from codistill.methods.parts.exchange import Exchange
from codistill.methods.parts.options import DivergenceOption, EdgeTemperature, GraphOption, Number


class DML(Imitation):
    """Every peer imitates every other peer.  L_i = CE(z_i, y) + w * sum_j W_ij T^2 D(p_j^T, p_i^T)

    W_ij = 1/(P-1) and D = KL(p_j || p_i), T = 1, w = 1 in the paper. Zhang et al., CVPR 2018, arXiv:1706.00384. Its
    released code is ``dml:total=sum,update=fresh_batch``. With all options, on which samples, what of the others, which
    of the samples and when: L_i = CE(z_i, y) + w r(t) mean over x in ON of s(x) sum_j W_ij T^2 D(target(p_j)^T, p_i^T).

    Args:
        temperature: T; or, in Python, a matrix T_ij, so that each edge has its own.
        unlabelled_weight: how much an unlabelled sample counts in the mean, beside 1 of a labelled one.
        total: ``mean`` over the peers as in the paper, or their ``sum`` as in the released code (the same for P = 2).

    We differ: the mean over the batch where the paper writes a sum, as its released code does.
    """

    needs = Needs(peers=True, unlabelled=True, common=True, couples="edges")
    published = (
        "CIFAR-100, two ResNet-32: 68.99 -> 71.19 / 70.75 (table 2, as two transcriptions agree); "
        "replications of that row in three repositories: -0.1 to +1.2"
    )

    note = ""

    weight: Number = Number(1.0)
    temperature: EdgeTemperature = EdgeTemperature(1.0)  # type: ignore[assignment]
    divergence: DivergenceOption = DivergenceOption("kl")
    graph: GraphOption = GraphOption(None)
    total: str = "mean"
    unlabelled_weight: Number = Number(1.0)

    def __post_init__(self) -> None:
        if self.graph is not None and self.total != "mean":
            raise ValueError(f"total={self.total!r} is for the complete graph; in a graph of your own, set the weights")
        super().__post_init__()

    def default_graph(self) -> Graph:
        return complete(self.total)

    @property
    def tells(self) -> Exchange | None:
        """Each source is imitated by itself; a selection judges by the mean of them all, of which all classes count,
        and the others' sum at one temperature says nothing of another edge's.
        """
        told, changed = super().tells, type(self).forward is not DML.forward  # which may use more
        if told is None or changed or self.select is not None or isinstance(self.temperature, Graph):
            return told
        return replace(told, largest=self.target.largest, temperature=float(self.temperature))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        mimic = self.along(
            self.divergence, students=z, sources=cohort.share(z), of=self._weighted(batch), progress=progress
        )
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}

    def _weighted(self, batch: Batch) -> Batch:
        """The batch, its unlabelled samples with their weight in the mask."""
        if self.unlabelled_weight == 1.0:
            return batch
        unlabelled = (batch.y < 0).any(-1) if batch.task == "multilabel" else batch.y < 0
        weights = torch.where(unlabelled, self.unlabelled_weight, 1.0)
        return replace(batch, mask=weights if batch.mask is None else weights * batch.mask)


__all__ = ["DML"]
