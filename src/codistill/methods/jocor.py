"""Joint training with co-regularisation."""

from dataclasses import replace

import torch
from torch import Tensor

from codistill.graph import along_edges
from codistill.losses.divergences.kl import relative_entropy
from codistill.losses.labels import label_losses
from codistill.losses.posterior import log_posterior
from codistill.losses.selections import kept_part, smallest
from codistill.methods import Batch, Method, Needs, Peers, Terms, label_loss
from codistill.methods.parts.options import Fraction


class JoCoR(Method):
    """Peers choose samples together.  L_i = mean over the kept of (1-a) CE(z_i, y) + a sum_j W_ij J(p_i, p_j)

    J(p, q) = KL(p || q) + KL(q || p). Kept is the part R(t) = 1 - rate min(t / ramp, 1) of a batch whose joint loss,
    (1-a) sum_i CE(z_i, y) + a J summed over the pairs, is least: agreement is a sign of a right label. Wei et al., CVPR
    2020, arXiv:2003.02752; ``ramp`` 10 of 200 epochs as in hongxin001/JoCoR, which tries a from 0.05 to 0.95.

    Args:
        rate: the part that is left out in the end: that of wrong labels, if it is known.
        ramp: the fraction of the training over which that part rises from 0.
        agreement: a.

    We differ: R falls from step to step and not from epoch to epoch; W_ij = 1/(P-1), so that two peers are the paper's.
    Its one loss, in which nothing is detached, has the same gradient for each peer.
    """

    needs = Needs(peers=True)

    rate: Fraction = Fraction(0.2)
    ramp: Fraction = Fraction(0.05)
    agreement: Fraction = Fraction(0.9)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        own = log_posterior(z, batch.task)
        others = cohort.share(own)

        def apart(i: Tensor, j: Tensor) -> Tensor:  # J of every edge, [E, B]
            values = relative_entropy(own[i], others[j]) + relative_entropy(others[j], own[i])
            return values.sum(-1) if batch.task in ("binary", "multilabel") else values

        with torch.no_grad():
            kept = replace(batch, mask=self.kept(own, batch, progress))
        disagreement = along_edges(self.graph, apart, students=z, sources=len(z), mask=kept.mask)
        task = (1.0 - self.agreement) * label_loss(z, kept)
        return {"task": task, "mimic": self.agreement * disagreement}

    def kept(self, log_p: Tensor, batch: Batch, progress: float | None) -> Tensor:
        """The samples of least joint loss, for all peers: ``[B]``."""
        losses, labelled = label_losses(log_p, batch.y, task=batch.task)
        labelled = labelled if batch.mask is None else labelled & batch.mask.bool()
        pairs = relative_entropy(log_p.unsqueeze(1), log_p.unsqueeze(0)).sum((0, 1))  # J of each pair once
        pairs = pairs.sum(-1) if batch.task in ("binary", "multilabel") else pairs
        joint = (1.0 - self.agreement) * losses.sum(0) + self.agreement * pairs / max(len(log_p) - 1, 1)
        return smallest(joint.unsqueeze(0), labelled[:1], kept_part(self.rate, self.ramp, progress))[0]


__all__ = ["JoCoR"]
