"""Deep mutual learning."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from codistill.graph import complete, matrix
from codistill.losses import divergences
from codistill.losses.divergence import Divergence
from codistill.methods import Batch, Graph, Links, Method, Needs, Peers, Terms, along, label_loss, number, ramp


class DML(Method):
    """Every peer imitates every other peer.  L_i = CE(z_i, y) + w * sum_j W_ij T^2 D(p_j^T, p_i^T)

    W_ij = 1/(P-1) and D = KL(p_j || p_i), T = 1, w = 1 in the paper. Zhang et al., CVPR 2018, arXiv:1706.00384. Its
    released code is ``dml:total=sum,update=fresh_batch``.

    Args:
        weight: w.
        temperature: T; or, in Python, a matrix T_ij, so that each edge has its own.
        divergence: ``kl | reverse_kl | symmetric_kl | js | renyi:alpha=0.5``, or your own.
        graph: W, by name, by matrix or as a `Graph`.
        unlabelled_weight: how much an unlabelled sample counts in the second term, beside 1 of a labelled one.
        ramp: fraction of the training over which unlabelled_weight rises to its value (see `ramp`).
        total: ``mean`` over the peers as in the paper, or their ``sum`` as in the released code (the same for P = 2).

    We differ: the mean over the batch where the paper writes a sum, as its released code does.
    """

    title = "DML"
    needs = Needs(peers=True, unlabelled=True, couples="edges")
    published = (
        "CIFAR-100, two ResNet-32: 68.99 -> 71.19 / 70.75 (table 2, as two transcriptions agree); "
        "replications of that row in three repositories: -0.1 to +1.2"
    )

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float | Sequence[Sequence[float]] = 1.0,
        divergence: str | Divergence = "kl",
        graph: Links = None,
        total: str = "mean",
        unlabelled_weight: float = 1.0,
        ramp: float = 0.0,
    ) -> None:
        if graph is not None and total != "mean":
            raise ValueError(f"total={total!r} is for the complete graph; in a graph of your own, set the weights")
        super().__init__(complete(total) if graph is None else graph)
        self.weight = number("weight", weight)
        self.temperature: float | Graph = (
            matrix(temperature, of="temperature")
            if isinstance(temperature, Sequence) and not isinstance(temperature, str)
            else number("temperature", temperature, 1e-6)
        )
        self.divergence = divergences.get(divergence)
        self.unlabelled_weight = number("unlabelled_weight", unlabelled_weight)
        self.ramp = number("ramp", ramp, 0.0, 1.0)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        mimic = along(
            self.graph,
            self.divergence,
            students=z,
            sources=cohort.share(z),
            of=self._weighted(batch, progress),
            temperature=self.temperature,
        )
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}

    def _weighted(self, batch: Batch, progress: float | None) -> Batch:
        """The batch, its unlabelled samples with their weight in the mask."""
        if self.unlabelled_weight == 1.0 and self.ramp == 0.0:
            return batch
        unlabelled = (batch.y < 0).any(-1) if batch.task == "multilabel" else batch.y < 0
        weights = torch.where(unlabelled, self.unlabelled_weight * ramp(progress, self.ramp), 1.0)
        return replace(batch, mask=weights if batch.mask is None else weights * batch.mask)


__all__ = ["DML"]
