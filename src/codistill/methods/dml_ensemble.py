"""Deep mutual learning with one ensemble teacher (DML_e)."""

from collections.abc import Mapping
from typing import Any

from codistill.graph import MEANS, complete, everyone
from codistill.methods import Batch, Graph, Imitation, Needs, Peers, Terms, blend, kl, label_loss
from codistill.methods.parts.options import Choice, Flag, GraphOption, Number, Temperature
from codistill.spec import Spec


class DMLEnsemble(Imitation):
    """Every peer imitates the mean posterior of the others.  L_i = CE(z_i, y) + w T^2 KL(sum_j W_ij p_j^T || p_i^T)

    Zhang et al., CVPR 2018, section 3.4, arXiv:1706.00384. Its gradient is that of `DML` with the same W and T: the
    mean of the KLs is this KL plus a constant, so the two differ in the value of the term and in nothing that is
    learnt. The paper explains a difference by the entropy of the averaged teacher; we do not. With ``include_self``
    the gradient is (P-1)/P of that, a smaller w and no other teacher. What makes another teacher is the geometric mean.

    Args:
        mean: ``arithmetic``, of the posteriors, the paper's; or ``geometric``: the teacher is
            softmax(sum_j W_ij z_j / T), the mean of the logits.
        include_self: the mean is over all peers, the learner among them: W_ij = 1/P.
    """

    title = "DML_e"
    needs = Needs(peers=True, unlabelled=True, common=True, couples="edges")

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    graph: GraphOption = GraphOption(None)
    mean: Choice = Choice(*MEANS)
    include_self: Flag = Flag(False)

    def __post_init__(self) -> None:
        if self.include_self and self.graph is not None:
            raise ValueError("include_self=True is for the complete graph; in a graph of your own, set W_ii")
        super().__post_init__()

    def default_graph(self) -> Graph:
        return everyone() if self.include_self else complete()

    @classmethod
    def same_gradient(cls, options: Mapping[str, Any]) -> str | None:
        """DML's, for the mean of the posteriors of the others as it is."""
        same = {"mean": "arithmetic", "include_self": False, "target": "soft", "select": "all"}
        if any(options.get(name, value) != value for name, value in same.items()):
            return None
        return str(Spec("dml", (), {k: v for k, v in options.items() if k not in same}))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, graph = cohort(batch.x).logits, self.graph  # [P, B, C]
        p = blend(graph, logits=cohort.share(z), task=batch.task, temperature=self.temperature, mean=self.mean)
        mimic = self.imitate(kl, students=z, posteriors=p, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["DMLEnsemble"]
