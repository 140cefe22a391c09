"""Codistillation."""

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from codistill.batch import PerPeer, value_of
from codistill.losses.posterior import log_posterior
from codistill.methods import Batch, Imitation, Needs, Peers, Terms, blend, kl, label_loss
from codistill.methods.parts.ema import Steps
from codistill.methods.parts.exchange import Exchange
from codistill.methods.parts.options import Choice, Fraction, Number, Temperature, Whole


class Codistillation(Imitation):
    """Peers imitate stale copies of the others.  L_i = CE(z_i, y) + w [t >= b] T^2 KL(mean_{j != i} q_j^T || p_i^T)

    Anil et al. 2018, arXiv:1804.03235: peers may learn from data of their own (``shards``), and then need no more of
    each other than their weights, now and then. q_j is what a copy of peer j predicts for peer i's own batch; copies
    are renewed every ``exchange_every`` steps, and nobody imitates before the first time. Burn-in 28 of 70 epochs (b =
    0.4), 50 steps and w = 1 as in pfnet-research/sc20-online-codistillation. ``exchange=posteriors`` is for parties who
    share no weights but have unlabelled samples in common, as in FedMD, Li and Wang 2019, arXiv:1910.03581.

    Args:
        burn_in: b, the fraction of the training in which everybody learns alone.
        exchange: ``weights`` (stale copies); ``posteriors``: every ``exchange_every`` steps, each peer tells the others
            what it predicted when it last saw each sample, and that is imitated until the next time; ``logits``: all
            peers imitate each other's current logits in every step, so that nothing is stale. The last two compare
            samples that all have in common.
        exchange_every: steps between two exchanges of weights or posteriors.

    We differ: KL(mean of the others || own), the paper's direction; the code of that repository has the reverse. FedMD
    compares logits by their absolute difference. Copies predict in eval mode.
    """

    needs = Needs(peers=True, unlabelled=True, shards=True)
    cost = "2 / 1 after the burn-in, P / 1 with shards; exchange=logits or posteriors: 1 / 1"

    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    burn_in: Fraction = Fraction(0.4)
    exchange: Choice = Choice("weights", "logits", "posteriors")
    exchange_every: Whole = Whole(50)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exchange != "weights":
            self.needs = replace(self.needs, shards=False, common=True, index=self.exchange == "posteriors")

    @property
    def tells(self) -> Exchange | None:
        told = super().tells
        if told is None or self.exchange == "logits":
            return told
        what: Literal["weights", "posteriors"] = "weights" if self.exchange == "weights" else "posteriors"
        return replace(told, what=what, every=self.exchange_every)

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.steps = Steps()
        if self.exchange == "weights":
            self.copies = cohort.frozen(moving=True)
        elif not batch.private and _labels_differ(batch, len(cohort)):
            raise ValueError(
                f"exchange={self.exchange!r}: peers have samples of their own; use exchange=weights, or shards=none"
            )
        if self.exchange == "posteriors":
            if batch.index is None or self.samples < 1:
                raise ValueError(
                    "exchange='posteriors' is by the samples' numbers: give Batch(index=...), set .samples"
                )
            p = log_posterior(cohort.probe(batch).logits, batch.task)
            self.latest = nn.Buffer(p.new_zeros(len(p), self.samples, *p.shape[2:]))  # zeros: not seen
            self.sent = nn.Buffer(torch.zeros_like(self.latest))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        terms = {"task": label_loss(z, batch), "mimic": z.new_zeros(len(z))}
        exchanged = self.exchange == "logits" or int(self.steps.done) >= self.exchange_every
        if exchanged and self.strength(progress) > 0:
            others, known = self._others(cohort.share(z), batch)
            mimic = self.imitate(kl, students=z, posteriors=others, of=known, progress=progress)
            terms["mimic"] = self.weight * mimic
        return terms

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        if self.exchange == "posteriors":
            p = log_posterior(cohort.latest(), batch.task, self.temperature).exp()
            self.latest[_peers(p), batch.index] = p
        if self.exchange != "logits" and (self.steps() + 1) % self.exchange_every == 0:
            if self.exchange == "weights":
                self.copies.follow(cohort)
            else:
                self.sent.copy_(self.latest)

    @torch.no_grad()
    def _others(self, current: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
        """The others' mean posterior on each peer's own batch, ``[P, B, C]``, and the batch where that is known."""
        x, task, temperature = value_of(batch.x), batch.task, self.temperature
        if self.exchange == "posteriors":
            sent = self.sent[_peers(current), batch.index]  # [P, B, C]
            seen = (sent.flatten(2).sum(-1) > 0).to(sent.dtype)
            known = blend(self.graph, posteriors=seen) > 1.0 - 1e-6  # by all the others
            mask = known if batch.mask is None else known * batch.mask
            return blend(self.graph, posteriors=sent), replace(batch, mask=mask)
        if self.exchange == "logits" or not isinstance(x, PerPeer):
            logits = current if self.exchange == "logits" else self.copies(batch.x).logits
            return blend(self.graph, logits=logits, task=task, temperature=temperature), batch
        total = torch.zeros_like(log_posterior(current, task))
        for away in range(1, len(self.copies)):  # peer j's copy predicts for the batch of peer j + away
            logits = self.copies(turned(x, -away)).logits
            total += log_posterior(logits, task, temperature).exp().roll(away, 0)
        return total / (len(self.copies) - 1), batch


def _peers(values: Tensor) -> Tensor:
    """The number of each peer, ``[P, 1]``."""
    return torch.arange(len(values), device=values.device).unsqueeze(1)


def _labels_differ(batch: Batch, peers: int) -> bool:
    apart = isinstance(value_of(batch.x), PerPeer) and len(batch.y) == peers
    return apart and any(not y.equal(batch.y[0]) for y in batch.y)


def turned(x: PerPeer, by: int) -> Any:
    """The inputs of peer i for peer i + by."""
    return PerPeer(pytree.tree_map(lambda t: t.roll(by, 0), x.inputs))


__all__ = ["Codistillation"]
