"""Peer collaborative learning."""

import torch
from torch import nn

from codistill import optim
from codistill.batch import Batch
from codistill.checks import number
from codistill.graph import Graph, along, complete
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.ema import Averages
from codistill.methods.parts.mixing import ensemble_loss, feature_of, linear


class PCL(Method):
    """Peers imitate a joint head and the others' averages.  L_i = CE_i + w r(t) T^2 [KL(p_e || p_i) + D_i]

    Each peer sees a distortion of its own. z_e is a linear head on all peers' features side by side, trained by
    L_e = CE(z_e, y). D_i = mean over j != i of KL(q_j || p_i), q_j from peer j's average over its past steps; all
    posteriors at T. Wu and Gong, AAAI 2021, arXiv:2006.04147. T = 3; r is the ramp of `ONE`, 0.27 of the run.

    Args:
        weight: w.
        temperature: T.
        ramp: part of the training over which r rises to 1.
        decay: of the averages, see `Averages`.
        feature: submodule whose output is a peer's feature (``:input`` for what goes in); of maps the mean over
            positions is taken.

    We differ: whole networks and not branches of a trunk, which would have to see the same input. w = 1 and the decay
    0.999 (MMT's) are ours, the paper's values are not at hand.
    """

    title = "PCL"
    needs = Needs(peers=True, own_views=True, unlabelled=True, parameters=True)
    cost = "2 / 1"
    published = "CIFAR-100, ResNet-32 74.14, ResNet-110 79.98 (second hand: the paper, as a replication quotes it)"

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 3.0,
        ramp: float = 0.27,
        decay: float = 0.999,
        feature: str = "fc:input",
    ) -> None:
        super().__init__()
        self.graph: Graph = complete()
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)
        self.ramp = number("ramp", ramp, 0.0, 1.0)
        self.averages = Averages(number("decay", decay, 0.0, 1.0))
        self.feature = feature

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        self.averages.start(cohort)
        cohort.tap(self.feature)
        with torch.no_grad():
            outputs = cohort(batch.x)
        h = feature_of(outputs, self.feature)
        self.head = linear(outputs.logits.shape[-1], sum(f.shape[-1] for f in h), like=h[0])
        self.bias = nn.Parameter(self.head.new_zeros(len(self.head)))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        outputs = cohort(batch.x)
        z, task, mask, temperature = outputs.logits, batch.task, batch.mask, self.temperature
        joint = torch.cat(feature_of(outputs, self.feature), -1)  # [B, F of all]
        together = torch.einsum("cf,bf->bc", self.head, joint) + self.bias
        teacher = cohort.share(together).expand_as(z)
        mimic = kl(students=z, sources=teacher, task=task, temperature=temperature)
        past = along(
            self.graph,
            kl,
            students=z,
            sources=self.averages(batch.x),
            task=task,
            temperature=temperature,
            mask=mask,
        )
        weight = self.weight * optim.ramp(progress, self.ramp)
        return {
            "task": cross_entropy(z, batch.y, task=task, mask=mask, smoothing=batch.smoothing),
            "mimic": weight * average(mimic, mask),
            "past": weight * past,
            "ensemble": ensemble_loss(together, batch),
        }

    def after_step(self, cohort: Peers, batch: Batch, progress: float) -> None:
        self.averages.follow(cohort)


__all__ = ["PCL"]
