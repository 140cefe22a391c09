"""Knowledge distillation via collaborative learning."""

import torch
from torch import Tensor
from torch.nn import functional as F

from codistill.batch import Batch
from codistill.checks import number
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.mixing import once

ENSEMBLES = ("naive", "linear", "minlogit", "general")
STEPS = 10  # of the exponentiated gradient


class KDCL(Method):
    """All peers imitate one ensemble, each on a view of its own.  L_i = CE(z_i, y) + w T^2 KL(p_e^T || p_i^T)

    Guo et al., CVPR 2020. The ensemble's logits z_e, from the peers' detached ones:
    ``naive``: those of the peer with the least cross-entropy; ``linear``: sum_i a_i z_i with the a on the simplex of
    the least cross-entropy; ``minlogit``: min over i of z_ic - z_iy for each class c; ``general``: sum_i w_i z_i with
    w = C^-1 1 / (1' C^-1 1), C_ij = mean (p_i - y)(p_j - y) over samples that nobody learns from, renewed each epoch.

    Args:
        ensemble: ``naive | linear | minlogit | general``.
        weight: w.
        temperature: T.
        held_out: part of the training samples that ``general`` holds out for C. In a loop of one's own it needs
            ``Batch(index=...)``, and `start_epoch` and `after_step` to be called.

    We differ: naive is chosen for each sample; a is found for each batch, by ten steps of exponentiated gradient; C is
    gathered from the held-out samples of the epoch's own batches, in place of a pass of its own, and holds for the next
    epoch. Default ensemble, T = 2 and w = 1 are ours, the paper's values are not at hand, and ``general`` could not be
    checked against it.
    """

    title = "KDCL"
    needs = Needs(peers=True, own_views=True)
    published = "CIFAR-100, ResNet-32 73.76, ResNet-110 78.28 (second hand: the PCL paper, as a replication quotes it)"
    products: Tensor
    count: Tensor
    weights: Tensor

    def __init__(
        self, ensemble: str = "minlogit", weight: float = 1.0, temperature: float = 2.0, held_out: float = 0.1
    ) -> None:
        super().__init__()
        if ensemble not in ENSEMBLES:
            raise ValueError(f"ensemble={ensemble!r}: choose one of {', '.join(ENSEMBLES)}")
        self.ensemble = ensemble
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)
        self.held_out = number("held_out", held_out, 0.01, 0.99)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if batch.task != "classes":
            raise ValueError(f"task={batch.task!r}: kdcl needs one label for each sample; use task='classes'")
        if self.ensemble == "general":
            if batch.index is None:
                raise ValueError("ensemble='general' holds samples out by their number: give Batch(index=...)")
            with torch.no_grad():
                start = cohort(batch.x).logits.new_zeros(len(cohort), len(cohort))
            self.register_buffer("products", start)
            self.register_buffer("count", start[0, 0].clone())
            self.register_buffer("weights", start[0] + 1.0 / len(cohort))
            self._seen: tuple[Tensor, Tensor] | None = None

    def start_epoch(self, epoch: int) -> None:
        if self.ensemble == "general":
            c = self.products / self.count.clamp(min=1.0)
            # nearly like peers make C nearly singular; without samples it is 0, and the weights are all alike
            ridge = 1e-4 * c.diagonal().mean() + 1e-12
            w = torch.linalg.inv(c + ridge * torch.eye(c.shape[-1], dtype=c.dtype, device=c.device)).sum(1)
            self.weights.copy_(w / w.sum())
            self.products.zero_(), self.count.zero_()

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, mask = cohort(batch.x).logits, batch.mask  # [P, B, C]
        shared = cohort.share(z)
        y = once(batch.y, 1).clamp(min=0)  # [B]
        if self.ensemble == "general":
            held = held_out(batch.index, self.held_out)
            self._seen = _products(shared, y, once(held, 1))
            mask = ~held if mask is None else ~held * mask
        teacher = self._ensemble(shared, y, mask).expand_as(z)
        mimic = kl(students=z, sources=teacher, temperature=self.temperature)
        return {
            "task": cross_entropy(z, batch.y, mask=mask, smoothing=batch.smoothing),
            "mimic": self.weight * average(mimic, mask),
        }

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        if self.ensemble == "general" and self._seen is not None:
            self.products += self._seen[0]
            self.count += self._seen[1]
            self._seen = None

    def _ensemble(self, z: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """The ensemble's logits ``[B, C]``."""
        labels = y[:, None].expand(*z.shape[:2], 1)
        if self.ensemble == "naive":
            best = z.log_softmax(-1).gather(2, labels).argmax(0, keepdim=True)  # [1, B, 1]
            return z.gather(0, best.expand(-1, -1, z.shape[-1])).squeeze(0)
        if self.ensemble == "minlogit":
            return (z - z.gather(2, labels)).amin(0)
        if self.ensemble == "general":
            return torch.einsum("p,pbc->bc", self.weights, z)
        counts = torch.ones_like(y) if mask is None else once(mask, 1)
        return torch.einsum("p,pbc->bc", mixture(z, y, counts), z)


def mixture(z: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """The a ``[P]`` on the simplex that make the cross-entropy of sum_i a_i z_i small, z ``[P, B, C]``."""
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


def held_out(index: Tensor | None, part: float) -> Tensor:
    """Which samples are held out, by their number, spread evenly (Fibonacci hashing)."""
    assert index is not None
    return (index * 2654435769) % 2**32 < part * 2**32


def _products(z: Tensor, y: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over held-out samples of (p_i - y)(p_j - y), ``[P, P]``, and their number."""
    error = z.softmax(-1) - F.one_hot(y, z.shape[-1])
    counts = held.to(z.dtype).expand_as(y)
    return torch.einsum("pbc,qbc,b->pq", error, error, counts), counts.sum()


__all__ = ["KDCL"]
