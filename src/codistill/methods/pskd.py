"""Self-distillation with progressive refinement of targets."""

import torch
from torch import nn

from codistill.losses.average import average
from codistill.losses.posterior import log_posterior
from codistill.methods import Batch, Method, Needs, Peers, Terms, label_loss
from codistill.methods.parts.options import Fraction


class PSKD(Method):
    """A network imitates its last epoch.  L_i = (1-a_t) CE(z_i, y) + a_t CE(z_i, q_i),  a_t = a (t+1)/epochs

    q_i(x) is the posterior that network i gave x in the training pass of epoch t - 1, on that epoch's distorted view
    and with the weights of that step; the one-hot label where x was not seen then, so in the first epoch. Kim et al.,
    ICCV 2021, arXiv:2006.12000; a = 0.8 and (t+1)/epochs as in lgcnsai/PS-KD-Pytorch.

    It keeps two tables ``[P, N, C]``, which are in the checkpoint. In your own loop: set ``method.samples`` (N)
    and ``method.epochs`` before `prepare`, give Batch(index=...), and call `start_epoch` and `after_step`.

    Args:
        alpha: a.

    We differ: a sample that an epoch left out (a last batch that was dropped) has its label as target in the next one,
    and not what an older epoch, or an empty row of the table, says.
    """

    title = "PS-KD"
    needs = Needs(index=True, shards=True, tasks=("classes",), couples="edges")
    published = (
        "CIFAR-100, error: PreAct ResNet-18 24.18 -> 20.82, PreAct ResNet-101 20.75 -> 19.43, DenseNet-121 20.05 -> "
        "18.73 (lgcnsai/PS-KD-Pytorch, the authors'); replication, ResNet-18: accuracy 76.24 -> 79.31"
    )

    alpha: Fraction = Fraction(0.8)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if batch.index is None:
            raise ValueError("pskd keeps what it made of each sample, by its number: give Batch(index=...)")
        for name in ("samples", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: pskd needs to know it; set method.{name} first")
        if int(batch.index.max()) >= self.samples:
            raise ValueError(f"samples={self.samples}: a sample has the number {int(batch.index.max())}; set it higher")
        z = log_posterior(cohort.probe(batch).logits)
        self.epoch = nn.Buffer(torch.zeros((), dtype=torch.int64))
        self.past = nn.Buffer(z.new_zeros(len(z), self.samples, z.shape[-1]))  # a row of zeros: not seen
        self.present = nn.Buffer(torch.zeros_like(self.past))

    def start_epoch(self, epoch: int) -> None:
        self.epoch.fill_(epoch)
        self.past.copy_(self.present)
        self.present.zero_()

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, index, mask = cohort(batch.x).logits, batch.index, batch.mask  # [P, B, C]
        if index is None or not hasattr(self, "past"):
            raise ValueError("pskd: call method.prepare(cohort, batch) first, and give every Batch its index")
        log_p = log_posterior(z)
        peers = torch.arange(len(z), device=z.device).unsqueeze(1)
        q = self.past[peers, index]  # [P, B, C]
        labels = batch.y.clamp(min=0).expand(z.shape[:2])
        own = -(q * log_p).sum(-1)
        own = own.where(q.sum(-1) > 0, -log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1))
        labelled = batch.y >= 0 if mask is None else (batch.y >= 0) & mask.bool()
        a = self.alpha * (self.epoch + 1).to(z.dtype) / self.epochs
        return {
            "task": (1 - a) * label_loss(z, batch),
            "mimic": a * average(own, labelled),
        }

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        p = log_posterior(cohort.latest()).exp()  # each peer's, just before its own update
        peers = torch.arange(len(p), device=p.device).unsqueeze(1)
        assert batch.index is not None
        self.present[peers, batch.index] = p


__all__ = ["PSKD"]
