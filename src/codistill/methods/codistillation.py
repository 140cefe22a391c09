"""Codistillation."""

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from codistill.batch import PerPeer, value_of
from codistill.losses.posterior import log_posterior
from codistill.methods import Batch, Imitation, Needs, Peers, Terms, blend, kl, label_loss
from codistill.methods.parts.ema import Steps
from codistill.methods.parts.options import Choice, Fraction, Number, Temperature, Whole


class Codistillation(Imitation):
    """Peers imitate stale copies of the others.  L_i = CE(z_i, y) + w [t >= b] T^2 KL(mean_{j != i} q_j^T || p_i^T)

    Anil et al. 2018, arXiv:1804.03235: peers may learn from data of their own (``shards=True``), and then need no more
    of each other than their weights, now and then. q_j is what a copy of peer j predicts for peer i's own batch; copies
    are renewed every ``exchange_every`` steps, and nobody imitates before the first time. Burn-in 28 of 70 epochs (b =
    0.4), 50 steps and w = 1 as in pfnet-research/sc20-online-codistillation.

    Args:
        burn_in: b, the fraction of the training in which everybody learns alone.
        exchange: ``weights`` (stale copies), or ``logits``: all peers have the same samples in every step and imitate
            each other's current logits; nothing is stale, and ``exchange_every`` is of no account.
        exchange_every: steps between two exchanges of weights.

    We differ: KL(mean of the others || own), the paper's direction; the code of that repository has the reverse.
    Copies predict in eval mode.
    """

    needs = Needs(peers=True, unlabelled=True, shards=True)
    cost = "2 / 1 after the burn-in, P / 1 with shards; exchange=logits: 1 / 1"

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    burn_in: Fraction = Fraction(0.4)
    exchange: Choice = Choice("weights", "logits")
    exchange_every: Whole = Whole(50)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.steps = Steps()
        if self.exchange == "weights":
            self.copies = cohort.frozen(moving=True)
        elif (
            isinstance(value_of(batch.x), PerPeer)
            and len(batch.y) == len(cohort)
            and any(not y.equal(batch.y[0]) for y in batch.y)
        ):
            raise ValueError(
                "exchange='logits': peers have samples of their own; use exchange=weights, or shards=False"
            )

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        terms = {"task": label_loss(z, batch), "mimic": z.new_zeros(len(z))}
        exchanged = self.exchange == "logits" or int(self.steps.done) >= self.exchange_every
        if exchanged and (progress is None or progress >= self.burn_in):
            others = self._others(cohort.share(z), batch)
            terms["mimic"] = self.weight * self.imitate(kl, students=z, posteriors=others, of=batch)
        return terms

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        if self.exchange == "weights" and (self.steps() + 1) % self.exchange_every == 0:
            self.copies.follow(cohort)

    @torch.no_grad()
    def _others(self, current: Tensor, batch: Batch) -> Tensor:
        """The others' mean posterior on each peer's own batch, ``[P, B, C]``."""
        x, task, temperature = value_of(batch.x), batch.task, self.temperature
        if self.exchange == "logits" or not isinstance(x, PerPeer):
            logits = current if self.exchange == "logits" else self.copies(batch.x).logits
            return blend(self.graph, logits=logits, task=task, temperature=temperature)
        total = torch.zeros_like(log_posterior(current, task))
        for away in range(1, len(self.copies)):  # peer j's copy predicts for the batch of peer j + away
            logits = self.copies(turned(x, -away)).logits
            total += log_posterior(logits, task, temperature).exp().roll(away, 0)
        return total / (len(self.copies) - 1)


def turned(x: PerPeer, by: int) -> Any:
    """The inputs of peer i for peer i + by."""
    return PerPeer(pytree.tree_map(lambda t: t.roll(by, 0), x.inputs))


__all__ = ["Codistillation"]
