"""How two ways of doing one thing are timed against each other, and the row that says so."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        claim: which script it is of.
        case: what was done.
        other: what ours is compared with.
        unit: of both figures.
        ours: the median.
        theirs: likewise.
        ratio: the median over rounds of theirs / ours; above 1 ours takes less.
        quartiles: of that ratio.
    """

    claim: str
    case: str
    other: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    quartiles: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.quartiles
        figures = f"{self.ours:.3g} | {self.theirs:.3g} {self.unit} | {self.ratio:.2f} ({low:.2f} to {high:.2f})"
        return f"| {self.claim} | {self.case} | {self.other} | {figures} |"


HEAD = "| claim | case | against | ours | theirs | ratio (quartiles) |\n| --- | --- | --- | ---: | ---: | ---: |"


def interleaved(
    sides: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.process_time
) -> dict[str, list[float]]:
    """The seconds of every side, a round after the other, each of which does all sides once.

    Two rounds before are not counted. The clock is that of the process's own work: the machine may be shared, and a
    step on one thread waits for nothing. Where waiting is what is measured, give `time.perf_counter`.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 2):
        for name, side in sides.items():
            started = clock()
            side()
            if turn >= 2:
                seconds[name].append(clock() - started)
    return seconds


def row(claim: str, case: str, ours: list[float], theirs: list[float], *, other: str, unit: str = "ms") -> Row:
    """What was measured in the same rounds, in seconds (shown in ``ms``) or whatever the unit is."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    factor = 1e3 if unit == "ms" else 1.0
    medians = [factor * statistics.median(values) for values in (ours, theirs)]
    return Row(claim, case, other, unit, *medians, ratio=middle, quartiles=(low, high))
