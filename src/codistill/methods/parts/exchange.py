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
    """

    what: Literal["posteriors", "choices", "weights", "features"]
    on: str = "all"
    every: int = 1
    begins: float = 0.0


__all__ = ["Exchange"]
