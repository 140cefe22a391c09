"""Codistillation."""

from functools import partial

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from codistill.batch import Batch, PerPeer, value_of
from codistill.checks import number, whole
from codistill.cohort import Cohort
from codistill.graph import Graph, blend, complete
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import log_posterior
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.ema import Steps, started


class Codistillation(Method):
    """Peers imitate stale copies of the others.  L_i = CE(z_i, y) + w [t >= b] T^2 KL(mean_{j != i} q_j^T || p_i^T)

    Anil et al. 2018, arXiv:1804.03235: peers may learn from data of their own (``shards=True``), and then need no more
    of each other than their weights, now and then. q_j is what a copy of peer j makes of peer i's own batch; copies are
    renewed every ``exchange_every`` steps. Burn-in 28 of 70 epochs (b = 0.4), 50 steps and w = 1 as in
    pfnet-research/sc20-online-codistillation.

    Args:
        weight: w.
        temperature: T.
        burn_in: b, the part of the training in which everybody learns alone.
        exchange: ``weights`` (stale copies), or ``logits``: all peers have the same samples in every step and imitate
            each other's current logits; nothing is stale, and ``exchange_every`` is of no account.
        exchange_every: steps between two exchanges of weights.

    We differ: KL(mean of the others || own), the paper's direction; the code of that repository has the reverse.
    Copies predict in eval mode.
    """

    title = "Codistillation"
    needs = Needs(peers=True, unlabelled=True, shards=True)
    cost = "2 / 1 after the burn-in, P / 1 with shards; exchange=logits: 1 / 1"

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 1.0,
        burn_in: float = 0.4,
        exchange: str = "weights",
        exchange_every: int = 50,
    ) -> None:
        super().__init__()
        if exchange not in ("weights", "logits"):
            raise ValueError(f"exchange={exchange!r}: choose weights or logits")
        self.graph: Graph = complete()
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)
        self.burn_in = number("burn_in", burn_in, 0.0, 1.0)
        self.exchange = exchange
        self.exchange_every = whole("exchange_every", exchange_every)
        self.steps = Steps()
        self.copies: Cohort | None = None

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if self.exchange == "weights":
            self.copies = cohort.frozen(moving=True)
        elif (
            isinstance(value_of(batch.x), PerPeer)
            and len(batch.y) == len(cohort)
            and not batch.y.equal(batch.y[:1].expand_as(batch.y))
        ):
            raise ValueError(
                "exchange='logits': peers have samples of their own; use exchange=weights, or shards=False"
            )

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, task = cohort(batch.x).logits, batch.task  # [P, B, C]
        if progress is not None and progress < self.burn_in:
            mimic = z.new_zeros(len(z))
        else:
            teacher = self._teacher(cohort, batch, z)
            values = kl(students=z, posteriors=teacher, task=task, temperature=self.temperature)
            mimic = average(values, batch.mask)
        return {
            "task": cross_entropy(z, batch.y, task=task, mask=batch.mask, smoothing=batch.smoothing),
            "mimic": self.weight * mimic,
        }

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        if self.exchange == "weights" and (self.steps() + 1) % self.exchange_every == 0:
            started(self.copies).follow(cohort)

    @torch.no_grad()
    def _teacher(self, cohort: Peers, batch: Batch, z: Tensor) -> Tensor:
        """The others' mean posterior on each peer's own batch, ``[P, B, C]``."""
        if self.exchange == "logits":
            return blend(self.graph, logits=cohort.share(z), task=batch.task, temperature=self.temperature)
        copies = started(self.copies)
        peers = len(copies)
        x = value_of(batch.x)
        if not isinstance(x, PerPeer) or len(pytree.tree_leaves(x.inputs)[0]) != peers:
            return blend(self.graph, logits=copies(batch.x).logits, task=batch.task, temperature=self.temperature)
        total = torch.zeros_like(log_posterior(z, batch.task))

        def moved(t: Tensor, by: int) -> Tensor:
            return t.roll(by, 0)

        for away in range(1, peers):  # peer j's copy on the batch of peer j + away, round and round
            inputs = pytree.tree_map(partial(moved, by=-away), x.inputs)
            p = log_posterior(copies(PerPeer(inputs)).logits, batch.task, self.temperature).exp()
            total = total + moved(p, away)
        return total / (peers - 1)


__all__ = ["Codistillation"]
