"""Online distillation with diverse peers."""

import torch
from torch import Tensor

from codistill import optim
from codistill.batch import Batch
from codistill.checks import number, whole
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.mixing import feature_of, linear


class OKDDip(Method):
    """Every peer has a target of its own, mixed by attention.  L_i = CE(z_i, y) + w r(t) T^2 KL(q_i^T || p_i^T)

    q_i^T = softmax(sum_j a_ij sg[z_j], over T), a_i = softmax over the peers j, i among them, of (Q h_i) . (K h_j),
    with Q and K of 8 rows and h the pooled features. The gradient goes through a, which has no other way to learn, and
    not through z_j. The last peer is the group leader, the network to use: it learns from the mean of the peers'
    logits and nobody learns from it. Chen et al., AAAI 2020, arXiv:1912.00350. T = 3, w = 1, 8 rows and the ramp r
    (0.27 of the run, see `ONE`) as in DefangChen/OKDDip-AAAI2020, which has 4 peers. Networks, or branches of a trunk.

    Args:
        weight: w.
        temperature: T.
        ramp: part of the training over which r rises to 1.
        size: rows of Q and K.
        feature: submodule whose output is h (``:input`` for what goes in); of maps the mean over positions is taken.

    We differ: z_j is detached, which the released code does not do. h is not, as there.
    """

    title = "OKDDip"
    needs = Needs(peers=True, unlabelled=True, parameters=True)
    published = "CIFAR-100, ResNet-32 73.25, ResNet-110 78.54 (second hand: the PCL paper, as a replication quotes it)"

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 3.0,
        ramp: float = 0.27,
        size: int = 8,
        feature: str = "fc:input",
    ) -> None:
        super().__init__()
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)
        self.ramp = number("ramp", ramp, 0.0, 1.0)
        self.size = whole("size", size)
        self.feature = feature

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if len(cohort) < 3:
            raise ValueError(
                f"peers={len(cohort)}: okddip needs two that learn from each other and a leader; set peers to 3 or more"
            )
        cohort.tap(self.feature)
        with torch.no_grad():
            h = feature_of(cohort(batch.x), self.feature)
        if len({f.shape for f in h}) > 1:
            widths = ", ".join(str(f.shape[-1]) for f in h)
            raise ValueError(f"feature={self.feature!r} has widths {widths}: okddip compares features, give the same")
        self.query = linear(self.size, h[0].shape[-1], like=h[0])
        self.key = linear(self.size, h[0].shape[-1], like=h[0])

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        outputs = cohort(batch.x)
        z, task, mask = outputs.logits, batch.task, batch.mask  # [P, B, C]
        h = torch.stack(feature_of(outputs, self.feature))[:-1]  # [P - 1, B, F]
        shared = cohort.share(z)[:-1]  # [P - 1, B, C]
        mixed = torch.einsum("bij,jb...->ib...", self._attention(h), shared)
        teacher = torch.cat([mixed, shared.mean(0, keepdim=True)])  # [P, B, C]
        mimic = kl(students=z, sources=teacher, task=task, temperature=self.temperature)
        return {
            "task": cross_entropy(z, batch.y, task=task, mask=mask, smoothing=batch.smoothing),
            "mimic": self.weight * optim.ramp(progress, self.ramp) * average(mimic, mask),
        }

    def _attention(self, h: Tensor) -> Tensor:
        """a_ij of every sample, ``[B, P - 1, P - 1]``; rows sum to 1."""
        query = torch.einsum("kf,pbf->bpk", self.query, h)
        key = torch.einsum("kf,pbf->bpk", self.key, h)
        return (query @ key.transpose(-1, -2)).softmax(-1)


__all__ = ["OKDDip"]
