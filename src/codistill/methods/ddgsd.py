"""Self-distillation guided by data distortion."""

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Outputs
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.features.mmd import mmd
from codistill.losses.labels import cross_entropy
from codistill.losses.maps import positions
from codistill.losses.posterior import full_precision
from codistill.methods import Method, Needs, Peers, Terms


class DDGSD(Method):
    """One network, two distorted views.  L_i = CE_a + CE_b + w T^2 [KL(p_a^T || p_b^T) + KL(p_b^T || p_a^T)] + m MMD

    MMD = || mean h_a - mean h_b ||^2 over the batch, h the pooled features. Xu and Liu, AAAI 2019. w = 1 and m from
    1e-4 to 5e-4 are the paper's (as a review of it says), T = 3 as in youngerous/ddgsd-pytorch. The form of MMD, m =
    5e-4 in that range and T^2 are ours: what the paper does is not known, and without T^2 the KLs count a ninth.

    Args:
        weight: w; 0 leaves the KLs out.
        mmd: m; 0 leaves it out.
        temperature: T.
        scaled: whether the KLs are multiplied by T^2.
        detach: whether what is imitated is detached (the paper does not say; winycg/Self-KD-Lib does). If not, the KLs
            also pull each view's posterior towards what imitates it.
        feature: submodule whose output is h (``:input`` for what goes in); of maps the mean over positions is taken.
    """

    title = "DDGSD"
    needs = Needs(views=2, unlabelled=True, shards=True, couples="edges")
    cost = "2 / 2"
    published = (
        "CIFAR-100, ResNet-18, error: 23.45 -> 21.47 (second hand: the paper's table 3 as an issue quotes it); "
        "replications: 30.15 -> 26.60 with 90 % of the data, and accuracy 76.24 -> 76.61"
    )

    def __init__(
        self,
        weight: float = 1.0,
        mmd: float = 5e-4,
        temperature: float = 3.0,
        scaled: bool = True,
        detach: bool = True,
        feature: str = "fc:input",
    ) -> None:
        super().__init__()
        for name, value in (("scaled", scaled), ("detach", detach)):
            if not isinstance(value, bool):
                raise ValueError(f"{name}={value!r}: give true or false")
        self.weight = number("weight", weight)
        self.mmd = number("mmd", mmd)
        self.temperature = number("temperature", temperature, 1e-6)
        self.scaled, self.detach, self.feature = scaled, detach, feature

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if self.mmd:
            cohort.tap(self.feature)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        if len(batch.views) != 1:
            raise ValueError(
                f"views={len(batch.views)} besides x: ddgsd compares two views; give Batch(views=(other,))"
            )
        a, b = cohort(batch.x), cohort(batch.views[0])
        y, task, mask = batch.y, batch.task, batch.mask
        z_a, z_b = a.logits, b.logits  # [P, B, C]
        labels = [cross_entropy(z, y, task=task, mask=mask, smoothing=batch.smoothing) for z in (z_a, z_b)]
        terms = {"task": labels[0] + labels[1]}
        if self.weight:
            temperature = self.temperature
            both = [
                kl(students=z, sources=cohort.share(q) if self.detach else q, task=task, temperature=temperature)
                for z, q in ((z_b, z_a), (z_a, z_b))
            ]
            weight = self.weight if self.scaled else self.weight / temperature**2
            terms["mimic"] = weight * average(both[0] + both[1], mask)
        if self.mmd:
            terms["mmd"] = self.mmd * self._discrepancy(a, b, batch)
        return terms

    def _discrepancy(self, a: Outputs, b: Outputs, batch: Batch) -> Tensor:
        mask = batch.mask.any(-1) if batch.mask is not None and batch.task == "tokens" else batch.mask
        f, g = a.features[self.feature], b.features[self.feature]
        if isinstance(f, Tensor) and isinstance(g, Tensor):
            return mmd(_pooled(f), _pooled(g), mask)
        masks = [None if mask is None else mask.expand(len(f), -1)[i : i + 1] for i in range(len(f))]
        each = zip(f, g, masks, strict=True)
        return torch.cat([mmd(_pooled(u.unsqueeze(0)), _pooled(v.unsqueeze(0)), m) for u, v, m in each])


def _pooled(h: Tensor) -> Tensor:
    """``[P, B, F]``."""
    return full_precision(positions(h).mean(-1))


__all__ = ["DDGSD"]
