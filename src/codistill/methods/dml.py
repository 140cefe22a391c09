"""Deep mutual learning."""

from codistill import losses
from codistill.batch import Batch
from codistill.graph import Graph, along, complete, named
from codistill.losses.cross_entropy import cross_entropy
from codistill.losses.divergence import Divergence
from codistill.methods import Method, Peers, Terms, number


class DML(Method):
    """Every peer imitates every other peer.  L_i = CE(z_i, y) + w * sum_j W_ij T^2 D(p_j^T, p_i^T)

    W_ij = 1/(P-1) and D = KL(p_j || p_i), T = 1, w = 1 in the paper. Zhang et al., CVPR 2018, arXiv:1706.00384.

    Args:
        weight: w.
        temperature: T.
        divergence: ``kl | reverse_kl | symmetric_kl | js``, or one's own.
        graph: W, by name, by matrix or as a `Graph`.
        peers: ``mean`` over the peers as in the paper, or their ``sum`` as in the released code (the same for P = 2).

    We differ: the mean over the batch where the paper writes a sum, as its released code does.
    """

    title = "DML"
    mutual = True

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 1.0,
        divergence: str | Divergence = "kl",
        graph: str | Graph | None = None,
        peers: str = "mean",
    ) -> None:
        super().__init__()
        if graph is not None and peers != "mean":
            raise ValueError(f"peers={peers!r} is for the complete graph; a graph of one's own says its weights itself")
        self.graph: Graph = complete(peers) if graph is None else named(graph)
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)
        self.divergence = losses.divergence(divergence)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        mimic = along(
            self.graph,
            self.divergence,
            students=z,
            sources=cohort.share(z),
            task=batch.task,
            temperature=self.temperature,
            mask=batch.mask,
        )
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask)
        return {"task": task, "mimic": self.weight * mimic}


__all__ = ["DML"]
