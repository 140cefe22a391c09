"""Class-wise self-distillation."""

import torch

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import Number, Temperature


class CSKD(Imitation):
    """A network imitates itself on another sample of the class.  L_i = CE(z_i, y) + w T^2 KL(p_i^T(x') || p_i^T(x))

    x' is drawn uniformly from the samples of x's class, x among them; it is detached and has no label term. Yun et al.,
    CVPR 2020, arXiv:2003.13964. T = 4, w = 1 as in alinlab/cs-kd on CIFAR-100; w = 3 there on fine-grained sets.

    We differ: batch statistics do not move in the pass of x', as in no pass without a label.
    """

    title = "CS-KD"
    needs = Needs(partners=True, shards=True, couples="edges")
    cost = "2 / 1"
    published = "CIFAR-100, ResNet-18, a replication: 76.24 -> 78.66 (winycg/Self-KD-Lib)"

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(4.0)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        if batch.partner is None:
            raise ValueError("partner=None: cskd needs another sample of each one's class; give Batch(partner=...)")
        z = cohort(batch.x).logits  # [P, B, C]
        with torch.no_grad():
            partner = cohort.share(cohort(batch.partner).logits)
        mimic = self.imitate(kl, students=z, sources=partner, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}


__all__ = ["CSKD"]
