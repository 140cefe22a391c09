"""Knowledge distillation via collaborative learning: the general ensemble."""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import Number, Temperature


class KDCLGeneral(Imitation):
    """KDCL, its ensemble weighted by held-out errors.  L_i = CE(z_i, y) + w T^2 KL(p_e^T || p_i^T), z_e = sum_i w_i z_i

    w = C^-1 1 / (1' C^-1 1), C_ij = mean (p_i - y)(p_j - y) over samples that nobody learns from, renewed each epoch;
    z_i are detached, each peer has a view of its own. Guo et al., CVPR 2020; see `KDCL`.

    In your own loop it needs Batch(index=...), and `start_epoch` and `after_step` to be called.

    Args:
        held_out: fraction of the training samples that are held out for C.

    We differ: C is gathered from the held-out samples of the epoch's own batches, in place of a pass of its own, and
    holds for the next epoch. T = 2 and w = 1 are ours; none of it could be checked against the paper.
    """

    title = "KDCL-general"
    needs = Needs(peers=True, own_views=True, index=True, tasks=("classes",))

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(2.0)
    held_out: Number = Number(0.1, low=0.01, high=0.99)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        held_out(batch.index, self.held_out)
        z = cohort.probe(batch).logits
        self.products = nn.Buffer(z.new_zeros(len(z), len(z)))
        self.count = nn.Buffer(z.new_zeros(()))
        self.weights = nn.Buffer(z.new_full((len(z),), 1.0 / len(z)))
        self._seen: tuple[Tensor, Tensor] | None = None

    def start_epoch(self, epoch: int) -> None:
        c = self.products / self.count.clamp(min=1.0)
        # networks that are nearly alike make C nearly singular; without samples it is 0, and the weights are all alike
        ridge = 1e-4 * c.diagonal().mean() + 1e-12
        w = torch.linalg.inv(c + ridge * torch.eye(len(c), dtype=c.dtype, device=c.device)).sum(1)
        self.weights.copy_(w / w.sum())
        self.products.zero_()
        self.count.zero_()

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, held = cohort(batch.x).logits, held_out(batch.index, self.held_out)  # [P, B, C], [B]
        shared = cohort.share(z)
        self._seen = error_products(shared, batch.joint().y.clamp(min=0), held)
        batch = replace(batch, mask=~held if batch.mask is None else ~held * batch.mask)
        target = torch.einsum("p,pbc->bc", self.weights, shared)
        mimic = self.imitate(kl, students=z, sources=target, of=batch, progress=progress)
        return {"task": label_loss(z, batch), "mimic": self.weight * mimic}

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        if self._seen is not None:
            self.products.add_(self._seen[0])
            self.count.add_(self._seen[1])
            self._seen = None


def held_out(index: Tensor | None, fraction: float) -> Tensor:
    """Which samples are held out, by their numbers ``[B]`` (or the first peer's), spread evenly (Fibonacci hashing)."""
    if index is None:
        raise ValueError("kdcl_general holds samples out by their number: give Batch(index=...)")
    return ((index if index.dim() == 1 else index[0]) * 2654435769) % 2**32 < fraction * 2**32


def error_products(z: Tensor, y: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over held-out samples of (p_i - y)(p_j - y), ``[P, P]``, and their number."""
    error = z.softmax(-1) - F.one_hot(y, z.shape[-1])
    counts = held.to(z.dtype)
    return torch.einsum("pbc,qbc,b->pq", error, error, counts), counts.sum()


__all__ = ["KDCLGeneral"]
