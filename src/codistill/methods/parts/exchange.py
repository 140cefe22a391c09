"""What peers tell each other."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Exchange:
    """What each peer tells the others.

    Attributes:
        what: ``posteriors``; ``choices``, which samples it keeps; its ``weights``; or ``features``, or anything else of
            which the size is not known before a step.
        on: of which samples, ``all``, ``labelled`` or ``unlabelled``.
        every: steps between two messages.
        begins: the fraction of the training before which nobody needs to be told anything.
        largest: of how many classes the probability is told, beside the sum of the others; None: of all. A process of a
            mesh may then know no more of the peers of others, see `codistill.exchange.Largest`.
        temperature: at which it is told.
    """

    what: Literal["posteriors", "choices", "weights", "features"]
    on: str = "all"
    every: int = 1
    begins: float = 0.0
    largest: int | None = None
    temperature: float = 1.0

    def numbers(self, classes: int) -> int:
        """Of a posterior over so many classes: all, or the k largest, where they are, and the sum of the others."""
        return classes if self.largest is None else min(classes, 2 * self.largest + 1)


__all__ = ["Exchange"]
