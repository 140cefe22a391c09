"""What of a source is imitated: its posterior, the class that it chooses, a sharper posterior, its largest parts.

Each is a `Target`: from logits to logits, or from probabilities to probabilities.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from codistill.checks import number, whole
from codistill.losses.divergence import Divergence
from codistill.losses.grouped import Grouped


class Target(ABC):
    """A source's prediction as it is imitated.

    Attributes:
        one_hot: it leaves all classes but one without probability.
        largest: of how many classes it tells the probability; None: of all.
    """

    one_hot: ClassVar[bool] = False
    largest: int | None = None

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

    def compared_by(self, divergence: Divergence) -> Divergence:
        """What a student is compared with it by, where that should be this divergence.

        Raises:
            ValueError: they do not go together.
        """
        if self.one_hot and not divergence.one_hot:
            raise ValueError(
                f"target=hard: {type(divergence).__name__} from one class alone is infinite; set target to soft or "
                "sharpened:0.5, or compare by another divergence (kl, js, renyi)"
            )
        return divergence


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


class Top(Soft):
    """The probabilities of its k most probable classes, and the sum of all others, see `Grouped`.

    With several variables (``multilabel``, ``binary``) each has two classes, and nothing is left out.

    Args:
        largest: k, at least 1.
    """

    largest: int

    def __init__(self, largest: int) -> None:
        self.largest = whole("largest", largest)

    def compared_by(self, divergence: Divergence) -> Divergence:
        return Grouped(divergence, self.largest)


soft, hard, sharpened, top = Soft, Hard, Sharpened, Top

__all__ = ["hard", "sharpened", "soft", "top"]
