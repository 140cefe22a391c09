"""Be your own teacher."""

import torch
from torch import Tensor, nn

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Feature, Outputs
from codistill.losses.average import average
from codistill.losses.divergences.kl import kl
from codistill.losses.features.squared_error import squared_error
from codistill.losses.labels import cross_entropy
from codistill.losses.maps import positions
from codistill.losses.posterior import full_precision
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.mixing import linear
from codistill.randomness import seeded


class BYOT(Method):
    """Shallow classifiers imitate the last.  L_i = CE_i + sum_s [(1-a) CE_s + a T^2 KL(p_i^T || p_s^T) + b (g_s - h)^2]

    Each tapped feature f_s has a classifier of its own in training, z_s = V_s g_s with g_s = relu(U_s pool(f_s)) in the
    shape of h, the pooled feature before the last layer; the square is the mean over samples and elements. p_i and h
    are detached. Zhang et al., ICCV 2019, arXiv:1905.08094.

    Args:
        alpha: a.
        temperature: T.
        hint: b.
        features: submodules whose outputs are the f_s, with a / between.
        last: submodule whose output is h (``:input`` for what goes in).

    We differ: one layer on the pooled feature where the paper has convolutions. a = 0.3, T = 3 and b = 0.03 are not
    checked against the paper.
    """

    title = "BYOT"
    needs = Needs(unlabelled=True, shards=True, parameters=True)
    published = "CIFAR-100, ResNet-18, a replication: 76.24 -> 77.88 (winycg/Self-KD-Lib)"

    def __init__(
        self,
        alpha: float = 0.3,
        temperature: float = 3.0,
        hint: float = 0.03,
        features: str = "stage1/stage2",
        last: str = "fc:input",
    ) -> None:
        super().__init__()
        self.alpha = number("alpha", alpha, 0.0, 1.0)
        self.temperature = number("temperature", temperature, 1e-6)
        self.hint = number("hint", hint)
        self.features = [name for name in features.split("/") if name]
        if not self.features:
            raise ValueError(f"features={features!r}: give submodules, e.g. stage1/stage2")
        self.last = last
        self.widen, self.widen_bias, self.classify, self.classify_bias = (nn.ParameterList() for _ in range(4))

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        if batch.task == "tokens":
            raise ValueError(f"task={batch.task!r}: byot's classifiers see pooled features; use another method")
        for name in (*self.features, self.last):
            cohort.tap(name)
        with torch.no_grad(), seeded(cohort.device, 0):  # dropout takes no numbers from those of our own parameters
            outputs = cohort(batch.x)
        h = self._pooled(outputs, self.last)
        peers, width, classes = len(h), h.shape[-1], outputs.logits.shape[-1]
        for name in self.features:
            f = self._pooled(outputs, name)
            self.widen.append(linear(peers, width, f.shape[-1], like=f))
            self.widen_bias.append(nn.Parameter(h.new_zeros(peers, 1, width)))
            self.classify.append(linear(peers, classes, width, like=f))
            self.classify_bias.append(nn.Parameter(h.new_zeros(peers, 1, classes)))

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        if not len(self.widen):
            raise ValueError("byot: call method.prepare(cohort, batch) before the first step")
        outputs = cohort(batch.x)
        z, y, task, mask = outputs.logits, batch.y, batch.task, batch.mask  # [P, B, C]
        target, h = cohort.share(z), cohort.share(self._pooled(outputs, self.last))
        labels, mimic, hint = z.new_zeros(len(z)), z.new_zeros(len(z)), z.new_zeros(len(z))
        for s, name in enumerate(self.features):
            f = self._pooled(outputs, name)  # [P, B, F_s]
            g = (f @ self.widen[s].mT + self.widen_bias[s]).relu()  # [P, B, F]
            z_s = g @ self.classify[s].mT + self.classify_bias[s]
            labels = labels + cross_entropy(z_s, y, task=task, mask=mask, smoothing=batch.smoothing)
            mimic = mimic + average(kl(students=z_s, sources=target, task=task, temperature=self.temperature), mask)
            hint = hint + squared_error(g, h)
        return {
            "task": cross_entropy(z, y, task=task, mask=mask, smoothing=batch.smoothing),
            "shallow": (1.0 - self.alpha) * labels,
            "mimic": self.alpha * mimic,
            "hint": self.hint * hint,
        }

    def _pooled(self, outputs: Outputs, name: str) -> Tensor:
        """``[P, B, F]``."""
        f: Feature = outputs.features[name]
        if not isinstance(f, Tensor):
            widths = ", ".join(str(one.shape[1]) for one in f)
            raise ValueError(
                f"feature {name!r} has {widths} channels: byot's classifiers are alike, give like networks"
            )
        return full_precision(positions(f).mean(-1))


__all__ = ["BYOT"]
