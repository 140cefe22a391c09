"""Deep mutual learning with one ensemble teacher (DML_e)."""

from collections.abc import Mapping
from typing import Any

from codistill.checks import flag
from codistill.graph import MEANS
from codistill.losses.divergences.kl import kl
from codistill.methods import Batch, Links, Method, Needs, Peers, Terms, blend, imitate, label_loss, number
from codistill.spec import Spec, UnknownName


class DMLEnsemble(Method):
    """Every peer imitates the mean posterior of the others.  L_i = CE(z_i, y) + w T^2 KL(sum_j W_ij p_j^T || p_i^T)

    Zhang et al., CVPR 2018, section 3.4, arXiv:1706.00384. Its gradient is that of `DML` with the same W and T: the
    mean of the KLs is this KL plus a constant, so the two differ in the value of the term and in nothing that is
    learnt. The paper explains a difference by the entropy of the averaged teacher; we do not. With ``include_self``
    the gradient is (P-1)/P of that, a smaller w and no other teacher. What makes another teacher is the geometric mean.

    Args:
        weight: w.
        temperature: T.
        graph: W, by name, by matrix or as a `Graph`.
        mean: ``arithmetic``, of the posteriors, the paper's; or ``geometric``: the teacher is
            softmax(sum_j W_ij z_j / T), the mean of the logits.
        include_self: the mean is over all peers, the learner among them: W_ij = 1/P.
    """

    title = "DML_e"
    needs = Needs(peers=True, unlabelled=True, couples="edges")

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 1.0,
        graph: Links = None,
        mean: str = "arithmetic",
        include_self: bool = False,
    ) -> None:
        if mean not in MEANS:
            raise UnknownName("mean", mean, MEANS)
        if flag("include_self", include_self) and graph is not None:
            raise ValueError("include_self=True is for the complete graph; in a graph of your own, set W_ii")
        super().__init__("everyone" if include_self else graph)
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)
        self.mean = mean

    @classmethod
    def same_gradient(cls, options: Mapping[str, Any]) -> str | None:
        """DML's, for the mean of the posteriors of the others."""
        if options.get("mean", "arithmetic") != "arithmetic" or options.get("include_self"):
            return None
        return str(Spec("dml", (), {k: v for k, v in options.items() if k not in ("mean", "include_self")}))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, temperature = cohort(batch.x).logits, self.temperature  # [P, B, C]
        p = blend(self.graph, logits=cohort.share(z), task=batch.task, temperature=temperature, mean=self.mean)
        mimic = imitate(kl, students=z, posteriors=p, of=batch, temperature=temperature)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["DMLEnsemble"]
