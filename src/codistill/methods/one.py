"""On-the-fly native ensemble."""

import torch
from torch import Tensor, nn

from codistill.cohort.branches import trunk_of
from codistill.methods import Batch, Imitation, Needs, Peers, Terms, joint_loss, kl, label_loss
from codistill.methods.parts.linear import linear, zeros
from codistill.methods.parts.options import Fraction, Number, Temperature


class ONE(Imitation):
    """Branches of one trunk imitate their gated ensemble.  L_i = CE(z_i, y) + w r(t) T^2 KL(p_e^T || p_i^T)

    z_e = sum_j g_j(x) z_j, and L_e = CE(z_e, y) trains the gate g = softmax(relu(BN(FC(pool(h))))), h what the trunk
    gives, one weight per sample and branch. Lan et al., NeurIPS 2018, arXiv:1806.04606. T = 3, w = 1 and the ramp
    r(t) = exp(-5 (1 - t)^2) as in Lan1991Xu/ONE_NeurIPS2018, over 80 of its 300 epochs: 0.27 of the run.

    We differ: the gate's batch norm has no running statistics, for it is of use in training alone: what is evaluated
    are the branches, and their mean posterior. The released code adds 1e-7 to the target posterior; we do not.
    """

    needs = Needs(peers=True, branches=True, unlabelled=True, parameters=True)
    cost = "1 / 1, the trunk once for all"
    published = "CIFAR-100, ResNet-32 73.79, ResNet-110 78.40 (second hand: the PCL paper, as a replication quotes it)"

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(3.0)
    ramp: Fraction = Fraction(0.27)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.stem = f"{trunk_of(cohort.parts(), cohort.peers).at}:input"
        cohort.tap(self.stem)
        h = cohort.probe(batch).pooled(self.stem)[0]
        self.fc = linear(len(cohort), h.shape[-1], like=h)  # no bias: the batch norm after it would take it off again
        self.scale, self.shift = nn.Parameter(h.new_ones(len(cohort))), zeros(len(cohort), like=h)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        outputs = cohort(batch.x)
        z, h = outputs.logits, outputs.pooled(self.stem)[0]  # [P, B, C]; [B, F], the same for all branches
        ensemble = torch.einsum("bp,pb...->b...", self.gate(h), z)
        target = cohort.share(ensemble)
        mimic = self.imitate(kl, students=z, sources=target, of=batch, progress=progress)
        return {
            "task": label_loss(z, batch),
            "mimic": self.weight * mimic,
            "ensemble": joint_loss(ensemble, batch),
        }

    def gate(self, h: Tensor) -> Tensor:
        """g of features ``[B, F]``: ``[B, P]``."""
        score = h @ self.fc.T
        mean, variance = score.mean(0), score.var(0, correction=0)
        return ((score - mean) * (variance + 1e-5).rsqrt() * self.scale + self.shift).relu().softmax(-1)


__all__ = ["ONE"]
