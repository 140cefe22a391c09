"""Online distillation with diverse peers."""

import torch
from torch import Tensor

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.linear import linear
from codistill.methods.parts.options import Fraction, Names, Number, Temperature, Whole


class OKDDip(Imitation):
    """Every peer imitates its own mixture of the peers, by attention.  L_i = CE(z_i, y) + w r(t) T^2 KL(q_i^T || p_i^T)

    q_i^T = softmax(sum_j a_ij sg[z_j], over T), a_i = softmax over the peers j, i among them, of (Q h_i) . (K h_j),
    with Q and K of 8 rows and h the pooled features. The gradient goes through a, which has no other way to learn (with
    ``target=hard``, none: an argmax has no gradient), and not through z_j. The last peer is the group leader, the
    network to use: it learns from the mean of the peers' logits and nobody learns from it. Chen et al., AAAI 2020,
    arXiv:1912.00350. T = 3, w = 1, 8 rows and the ramp r (0.27 of the run, see `ONE`) as in
    DefangChen/OKDDip-AAAI2020, which has 4 peers. Networks, or branches of a trunk.

    Args:
        size: rows of Q and K.

    We differ: z_j is detached, which the released code does not do. h is not, as there. Nor do we add 1e-7 to the
    target posterior, as it does.
    """

    needs = Needs(peers=True, unlabelled=True, common=True, parameters=True)
    published = "CIFAR-100, ResNet-32 73.25, ResNet-110 78.54 (second hand: the PCL paper, as a replication quotes it)"

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(3.0)
    ramp: Fraction = Fraction(0.27)
    size: Whole = Whole(8)
    features: Names = Names("fc:input")

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if len(cohort) < 3:
            raise ValueError(
                f"peers={len(cohort)}: okddip needs two that learn from each other and a leader; set peers to 3 or more"
            )
        for name in self.features:
            cohort.tap(name)
        h = cohort.probe(batch).pooled(*self.features)
        self.query = linear(self.size, h.shape[-1], like=h)
        self.key = linear(self.size, h.shape[-1], like=h)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        outputs = cohort(batch.x)
        z, h = outputs.logits, outputs.pooled(*self.features)  # [P, B, C], [P, B, F]
        peers = cohort.share(z)[:-1]
        mixed = torch.einsum("bij,jb...->ib...", self.attention(h[:-1]), peers)
        targets = torch.cat([mixed, peers.mean(0, keepdim=True)])  # the leader's is the last
        mimic = self.imitate(kl, students=z, sources=targets, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}

    def attention(self, h: Tensor) -> Tensor:
        """a_ij of every sample, from features ``[p, B, F]``: ``[B, p, p]``, rows sum to 1."""
        query, key = (torch.einsum("kf,pbf->bpk", weight, h) for weight in (self.query, self.key))
        return (query @ key.transpose(-1, -2)).softmax(-1)


__all__ = ["OKDDip"]
