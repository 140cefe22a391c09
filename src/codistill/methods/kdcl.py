"""Knowledge distillation via collaborative learning."""

import torch
from torch import Tensor
from torch.nn import functional as F

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import Number, Temperature

STEPS = 10  # of the exponentiated gradient


class KDCL(Imitation):
    """All peers imitate one ensemble, each on a view of its own.  L_i = CE(z_i, y) + w T^2 KL(p_e^T || p_i^T)

    Guo et al., CVPR 2020. The ensemble's logits z_e, from the peers' detached ones: `naive`, the least cross-entropy;
    `linear`, a mixture; `minlogit`, the least logits. The fourth, general, is `KDCLGeneral`.

    Args:
        ensemble: ``naive | linear | minlogit``.

    We differ: naive is chosen for each sample; linear is found for each batch, by ten steps of exponentiated gradient,
    near the least cross-entropy (see `mixture`).
    Default ensemble, T = 2 and w = 1 are ours, the paper's values are not at hand.
    """

    needs = Needs(peers=True, own_views=True, tasks=("classes",))
    published = "CIFAR-100, ResNet-32 73.76, ResNet-110 78.28 (second hand: the PCL paper, as a replication quotes it)"

    ensemble: str = "minlogit"
    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ensemble == "general":
            raise ValueError("ensemble='general' is a method of its own: use kdcl_general")
        if self.ensemble not in ENSEMBLES:
            raise ValueError(f"ensemble={self.ensemble!r}: choose one of {', '.join(ENSEMBLES)}")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, joint = cohort(batch.x).logits, batch.joint()  # [P, B, C]
        y = joint.y.clamp(min=0)
        target = ENSEMBLES[self.ensemble](cohort.share(z), y, torch.ones_like(y) if joint.mask is None else joint.mask)
        mimic = self.imitate(kl, students=z, sources=target, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}


def naive(z: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """Of each sample, the logits of the peer with the least cross-entropy: ``[P, B, C]`` -> ``[B, C]``."""
    labels = y[:, None].expand(*z.shape[:2], 1)
    best = z.log_softmax(-1).gather(2, labels).argmax(0, keepdim=True)  # [1, B, 1]
    return z.gather(0, best.expand(-1, -1, z.shape[-1])).squeeze(0)


def linear(z: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """sum_i a_i z_i, with the `mixture` a."""
    return torch.einsum("p,pbc->bc", mixture(z, y, counts), z)


def minlogit(z: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """min over i of z_ic - z_iy, for each class c and label y."""
    return (z - z.gather(2, y[:, None].expand(*z.shape[:2], 1))).amin(0)


def mixture(z: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """The a ``[P]`` on the simplex that make the cross-entropy of sum_i a_i z_i small, for samples that count.

    Of normal logits (2 to 4 peers, 64 samples of 10 classes, standard deviation 1 and 3, 10 draws of each) it is 0.12 %
    above the least on average and 0.54 % at most; with equal weights, 0.73 % on average.
    """
    share = counts.to(z.dtype) / counts.sum().clamp(min=1)
    label = F.one_hot(y, z.shape[-1]).to(z.dtype)
    # a step of about a quarter of Newton's, whatever the logits' scale
    variance = (z.var(0, correction=0).mean(1) * share).sum()
    rate = 0.25 / variance.clamp(min=1e-3)
    score = z.new_zeros(len(z))
    for _ in range(STEPS):
        error = torch.einsum("p,pbc->bc", score.softmax(0), z).softmax(-1) - label
        score = score - rate * torch.einsum("pbc,bc,b->p", z, error, share)
    return score.softmax(0)


ENSEMBLES = {"naive": naive, "linear": linear, "minlogit": minlogit}

__all__ = ["KDCL"]
