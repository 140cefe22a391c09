"""How many examples a training has, and how many steps it takes."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from codistill.jsonable import from_json
from codistill.training.fleet import Fleet
from codistill.training.records import read_log


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a fleet, with the examples of its first seed.

    Attributes:
        train: examples that are learned from with their label, of all peers together.
        valid: examples that are held out.
        rest: training examples that are neither: they are learned from without a label, or not at all.
        test: examples to test on.
        classes: how many.
        steps_per_epoch: steps of an epoch.
        steps: of the whole training.
    """

    train: int
    valid: int
    rest: int
    test: int
    classes: int
    steps_per_epoch: int
    steps: int

    @classmethod
    def of(cls, fleet: Fleet) -> Self:
        """Those of a fleet."""
        parts = fleet.streams.parts[0]
        return cls(
            train=len(parts.train),
            valid=len(parts.valid),
            rest=len(parts.unlabelled),
            test=len(parts.test),
            classes=fleet.dataset.classes,
            steps_per_epoch=fleet.steps,
            steps=fleet.total,
        )


def sizes_of(folder: Path) -> Sizes | None:
    """Those that the log of a folder says; None where it does not: older ones, and what others wrote into it."""
    starts = [line for line in read_log(folder) if line["kind"] == "start" and "sizes" in line]
    with suppress(TypeError):
        return from_json(Sizes, starts[-1]["sizes"]) if starts else None
    return None


__all__ = ["Sizes", "sizes_of"]
