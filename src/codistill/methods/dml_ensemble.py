"""Deep mutual learning with one ensemble teacher (DML_e)."""

from codistill.batch import Batch
from codistill.graph import Graph, blend, complete, named
from codistill.losses.average import average
from codistill.losses.cross_entropy import cross_entropy
from codistill.losses.kl import kl
from codistill.methods import Method, Peers, Terms, number


class DMLEnsemble(Method):
    """Every peer imitates the mean posterior of the others.  L_i = CE(z_i, y) + w T^2 KL(sum_j W_ij p_j^T || p_i^T)

    Zhang et al., CVPR 2018, section 3.4, arXiv:1706.00384. Its gradient is that of `DML` with the same W and T: the
    mean of the KLs is this KL plus a constant, so the two differ in the value of the term and in nothing that is
    learnt. The paper explains a difference by the entropy of the averaged teacher; we do not.
    """

    title = "DML_e"
    needs = "peers"
    mutual = True
    gradient_of = "dml"

    def __init__(self, weight: float = 1.0, temperature: float = 1.0, graph: str | Graph | None = None) -> None:
        super().__init__()
        self.graph: Graph = complete() if graph is None else named(graph)
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        task, temperature = batch.task, self.temperature
        teacher = blend(self.graph, logits=cohort.share(z), task=task, temperature=temperature)
        mimic = kl(students=z, posteriors=teacher, task=task, temperature=temperature)  # [P, B]
        return {
            "task": cross_entropy(z, batch.y, task=task, mask=batch.mask),
            "mimic": self.weight * average(mimic, batch.mask),
        }


__all__ = ["DMLEnsemble"]
