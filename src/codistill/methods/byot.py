"""Be your own teacher."""

from torch import Tensor, nn

from codistill.losses.features.squared_error import squared_error
from codistill.methods import Batch, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.linear import linear, zeros
from codistill.methods.parts.options import Fraction, Names, Number, Temperature


class BYOT(Imitation):
    """Shallow classifiers imitate the last.  L_i = CE_i + sum_s [(1-a) CE_s + a T^2 KL(p_i^T || p_s^T) + b (g_s - h)^2]

    Each tapped feature f_s has a classifier of its own in training, z_s = V_s g_s with g_s = relu(U_s pool(f_s)) in the
    shape of h, the pooled feature before the last layer; the square is the mean over samples and elements. p_i and h
    are detached. Zhang et al., ICCV 2019, arXiv:1905.08094.

    Args:
        alpha: a.
        hint: b.
        features: submodules whose outputs are the f_s, joined by ``/``.
        last: submodule whose output is h (``:input`` for what goes in).

    We differ: one layer on the pooled feature where the paper has convolutions. The figure of winycg/Self-KD-Lib is not
    quoted: its classifiers are convolutions too, and its terms are weighted otherwise. a = 0.3, T = 3 and b = 0.03 are
    not checked against the paper.
    """

    needs = Needs(unlabelled=True, shards=True, parameters=True, tasks=("classes", "binary", "multilabel"))

    alpha: Fraction = Fraction(0.3)
    temperature: Temperature = Temperature(3.0)
    hint: Number = Number(0.03)
    features: Names = Names("stage1/stage2")
    last: str = "fc:input"

    def prepare(self, cohort: Peers, batch: Batch) -> None:
        for name in (*self.features, self.last):
            cohort.tap(name)
        outputs = cohort.probe(batch)
        h, classes = outputs.pooled(self.last), outputs.logits.shape[-1]
        heads = (ShallowHead(outputs.pooled(name), h.shape[-1], classes) for name in self.features)
        self.heads = nn.ModuleList(heads)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        heads, outputs = zip(self.features, self.heads, strict=True), cohort(batch.x)
        z = outputs.logits  # [P, B, C]
        target, h = cohort.share(z), cohort.share(outputs.pooled(self.last))
        shallow, mimic, hint = z.new_zeros(len(z)), z.new_zeros(len(z)), z.new_zeros(len(z))
        for name, head in heads:
            g, z_s = head(outputs.pooled(name))
            shallow = shallow + label_loss(z_s, batch)
            mimic = mimic + self.imitate(kl, students=z_s, sources=target, of=batch, progress=progress)
            hint = hint + squared_error(g, h)
        return {
            "task": label_loss(z, batch),
            "shallow": (1.0 - self.alpha) * shallow,
            "mimic": self.alpha * mimic,
            "hint": self.hint * hint,
        }


class ShallowHead(nn.Module):
    """All peers' classifiers of one feature: g = relu(U f), z = V g.

    Args:
        f: pooled features ``[P, B, F]``.
        width: of g.
        classes: of z.
    """

    def __init__(self, f: Tensor, width: int, classes: int) -> None:
        super().__init__()
        self.widen, self.widen_bias = linear(len(f), width, f.shape[-1], like=f), zeros(len(f), 1, width, like=f)
        self.classify, self.classify_bias = linear(len(f), classes, width, like=f), zeros(len(f), 1, classes, like=f)

    def forward(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """g ``[P, B, width]`` and z ``[P, B, C]``."""
        g = (f @ self.widen.mT + self.widen_bias).relu()
        return g, g @ self.classify.mT + self.classify_bias


__all__ = ["BYOT"]
