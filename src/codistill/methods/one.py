"""On-the-fly native ensemble."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codistill import optim
from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort.branches import trunks
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.losses.posterior import full_precision
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.mixing import ensemble_loss, linear


class ONE(Method):
    """Branches of one trunk imitate their gated mixture.  L_i = CE(z_i, y) + w r(t) T^2 KL(p_e^T || p_i^T)

    z_e = sum_j g_j(x) z_j, and L_e = CE(z_e, y) trains the gate g = softmax(relu(BN(FC(pool(h))))), h what the trunk
    gives, one weight per sample and branch. Lan et al., NeurIPS 2018, arXiv:1806.04606. T = 3, w = 1 and the ramp
    r(t) = exp(-5 (1 - t)^2) as in Lan1991Xu/ONE_NeurIPS2018, over 80 of its 300 epochs: 0.27 of the run.

    Args:
        weight: w.
        temperature: T.
        ramp: part of the training over which r rises to 1.

    We differ: the gate's batch norm has no running statistics, for it is of use in training alone: what is evaluated
    are the branches, and their mean posterior.
    """

    title = "ONE"
    needs = Needs(peers=True, branches=True, unlabelled=True, parameters=True)
    cost = "1 / 1, the trunk once for all"
    published = "CIFAR-100, ResNet-32 73.79, ResNet-110 78.40 (second hand: the PCL paper, as a replication quotes it)"

    def __init__(self, weight: float = 1.0, temperature: float = 3.0, ramp: float = 0.27) -> None:
        super().__init__()
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)
        self.ramp = number("ramp", ramp, 0.0, 1.0)
        self.stem = ""

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        found = trunks(cohort.parts(), cohort.peers, 1)
        self.stem = f"{found[0].at}:input"
        cohort.tap(self.stem)
        with torch.no_grad():
            h = self._pooled(cohort(batch.x).features[self.stem])
        self.fc = linear(len(cohort), h.shape[-1], like=h)
        # FC has no bias: the batch norm after it would take it off again
        self.scale = nn.Parameter(h.new_ones(len(cohort)))
        self.shift = nn.Parameter(torch.zeros_like(self.scale))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        outputs = cohort(batch.x)
        z, task, mask = outputs.logits, batch.task, batch.mask  # [P, B, C]
        gate = self._gate(self._pooled(outputs.features[self.stem]))  # [B, P]
        together = torch.einsum("bp,pb...->b...", gate, z)
        teacher = cohort.share(together).expand_as(z)
        mimic = kl(students=z, sources=teacher, task=task, temperature=self.temperature)
        return {
            "task": cross_entropy(z, batch.y, task=task, mask=mask, smoothing=batch.smoothing),
            "mimic": self.weight * optim.ramp(progress, self.ramp) * average(mimic, mask),
            "ensemble": ensemble_loss(together, batch),
        }

    def _pooled(self, stem: Tensor | list[Tensor]) -> Tensor:
        """What the trunk gives, ``[B, F]``: the same for all its branches, so the first one's."""
        assert isinstance(stem, Tensor)
        h = stem[0]
        return full_precision(h.flatten(2).mean(2) if h.dim() > 2 else h)

    def _gate(self, h: Tensor) -> Tensor:
        score = h @ self.fc.T  # [B, P]
        mean, variance = score.mean(0), score.var(0, correction=0)  # batch norm
        return F.relu((score - mean) * (variance + 1e-5).rsqrt() * self.scale + self.shift).softmax(-1)


__all__ = ["ONE"]
