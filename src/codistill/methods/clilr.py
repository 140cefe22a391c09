"""Collaborative learning with shared intermediate representations."""

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import Number, Temperature


class CLILR(Imitation):
    """Heads of one trunk imitate the others' mean logits.  L_i = CE(z_i, y) + w T^2 KL(q_i^T || p_i^T)

    q_i^T = softmax(mean over j != i of z_j, over T); the gradient into the trunk is the sum over the H heads times
    1/H, so that it does not grow with their number. Song and Chai, NeurIPS 2018, arXiv:1805.11761.

    We differ: KL where the paper has the cross-entropy to q_i, which has the same gradient; w = 1 and T = 2 are ours,
    the paper's values are not at hand.
    """

    title = "CL-ILR"
    needs = Needs(peers=True, branches=True, unlabelled=True)
    cost = "1 / 1, the trunk once for all"
    published = "CIFAR-100, ResNet-32 72.33, ResNet-110 78.83 (second hand: the PCL paper, as a replication quotes it)"

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(2.0)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        cohort.scale_trunk(1.0 / len(cohort))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        shared = cohort.share(z)
        others = (shared.sum(0) - shared) / (len(z) - 1)
        mimic = self.imitate(kl, students=z, sources=others, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["CLILR"]
