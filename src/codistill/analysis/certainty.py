"""How confident a network is: entropy and sorted posteriors, beside its plain loss and accuracy."""

import math
from dataclasses import dataclass

from torch import nn

from codistill.analysis.loss import Batches, decided
from codistill.metrics.accuracy import accuracy
from codistill.metrics.posterior import entropy, top_posterior

RANKS = 5


@dataclass(frozen=True)
class Certainty:
    """One network on one part of the data.

    Attributes:
        n: labelled decisions.
        loss: plain cross-entropy in nats, without augmentation.
        accuracy: share of right decisions.
        entropy: mean of H(p), in nats.
        top: mean probability of the most probable class, of the second, ...; at most 5.
    """

    n: int
    loss: float
    accuracy: float
    entropy: float
    top: tuple[float, ...]


def certainty(net: nn.Module, batches: Batches, task: str = "classes") -> Certainty:
    """Measure it, in eval mode. Where nothing has a label every number is nan."""
    loss, flat, labels = decided(net, batches, task)
    if not len(labels):
        return Certainty(0, math.nan, math.nan, math.nan, ())
    return Certainty(
        len(labels),
        loss,
        float(accuracy(flat, labels)),
        float(entropy(flat)),
        tuple(top_posterior(flat, min(RANKS, flat.shape[-1])).tolist()),
    )
