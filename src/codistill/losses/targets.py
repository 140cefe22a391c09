"""What of a source is imitated: its posterior, the class that it chooses, or a sharper posterior.

Each is a `Target`: from logits to logits, or from probabilities to probabilities.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from codistill.checks import number


class Target(ABC):
    """A source's prediction as it is imitated.

    Attributes:
        one_hot: it leaves all classes but one without probability.
    """

    one_hot: ClassVar[bool] = False

    @abstractmethod
    def log_probabilities(self, log_p: Tensor) -> Tensor:
        """From a posterior's logarithm to that of what is imitated, the distribution along the last dim."""

    def logits(self, z: Tensor, task: str = "classes") -> Tensor:
        """Logits ``[..., C]`` whose posterior is what is imitated."""
        if task in ("classes", "tokens"):
            return self.log_probabilities(z)
        two = self.log_probabilities(torch.stack([torch.zeros_like(z), z], -1))  # a logit is a softmax over [0, z]
        return two[..., 1] - two[..., 0]

    def posteriors(self, p: Tensor) -> Tensor:
        """Probabilities of what is imitated."""
        return self.log_probabilities(p.log()).softmax(-1)


class Soft(Target):
    """The posterior itself."""

    def log_probabilities(self, log_p: Tensor) -> Tensor:
        return log_p

    def logits(self, z: Tensor, task: str = "classes") -> Tensor:
        return z

    def posteriors(self, p: Tensor) -> Tensor:
        return p


class Hard(Target):
    """All probability on the most probable class, the first of equals: a pseudo label. KL from it is cross-entropy."""

    one_hot = True

    def log_probabilities(self, log_p: Tensor) -> Tensor:
        chosen = F.one_hot(log_p.argmax(-1), log_p.shape[-1]).bool()
        return torch.zeros_like(log_p).masked_fill(~chosen, -torch.inf)


class Sharpened(Target):
    """The posterior at a temperature of its own: proportional to p^(1/T), and at T -> 0 `Hard`.

    Args:
        temperature: T, above 0 and up to 1.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = number("temperature", temperature, 0.0, 1.0, above=True)

    def log_probabilities(self, log_p: Tensor) -> Tensor:
        return log_p / self.temperature


soft, hard, sharpened = Soft, Hard, Sharpened

__all__ = ["hard", "sharpened", "soft"]
