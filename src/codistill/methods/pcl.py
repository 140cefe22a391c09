"""Peer collaborative learning."""

import torch

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, joint_loss, kl, label_loss
from codistill.methods.parts.ema import Averages
from codistill.methods.parts.linear import linear, zeros
from codistill.methods.parts.options import Fraction, Names, Number, Temperature


class PCL(Imitation):
    """Peers imitate a joint classifier and the others' EMAs.  L_i = CE_i + w r(t) T^2 [KL(p_e || p_i) + D_i]

    Each peer has a view of its own. z_e is a linear classifier on all peers' features side by side, trained by
    L_e = CE(z_e, y). D_i = mean over j != i of KL(q_j || p_i), q_j from the exponential moving average of peer j; all
    posteriors at T. Wu and Gong, AAAI 2021, arXiv:2006.04147. T = 3; r is the ramp of `ONE`, 0.27 of the run.

    Args:
        features: submodules whose outputs are a peer's features (``:input`` for what goes in), joined by ``/``.

    We differ: whole networks and not branches of a trunk, which would have to see the same input. w = 1 and the decay
    0.999 (MMT's) are ours, the paper's values are not at hand.
    """

    needs = Needs(peers=True, own_views=True, unlabelled=True, parameters=True)
    cost = "2 / 1"
    published = "CIFAR-100, ResNet-32 74.14, ResNet-110 79.98 (second hand: the paper, as a replication quotes it)"

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(3.0)
    ramp: Fraction = Fraction(0.27)
    decay: Fraction = Fraction(0.999)
    features: Names = Names("fc:input")

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.averages = Averages(cohort, self.decay)
        for name in self.features:
            cohort.tap(name)
        outputs = cohort.probe(batch)
        h = torch.cat(outputs.pooled_by_peer(*self.features), -1)
        self.head = linear(outputs.logits.shape[-1], h.shape[-1], like=h)
        self.bias = zeros(len(self.head), like=h)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        outputs = cohort(batch.x)
        z, h = outputs.logits, torch.cat(outputs.pooled_by_peer(*self.features), -1)  # [P, B, C]; [B, F of all]
        ensemble = torch.einsum("cf,bf->bc", self.head, h) + self.bias
        mimic = self.imitate(kl, students=z, sources=cohort.share(ensemble), of=batch, progress=progress)
        past = self.along(kl, students=z, sources=self.averages(batch.x), of=batch, progress=progress)
        return {
            "task": label_loss(z, batch),
            "mimic": self.weight * mimic,
            "past": self.weight * past,
            "ensemble": joint_loss(ensemble, batch),
        }

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        self.averages.follow(cohort)


__all__ = ["PCL"]
