"""What a study compares, in words: accuracy, or the mean average precision of retrieval and of several labels."""

from collections.abc import Iterable
from dataclasses import dataclass

from codistill.report.numbers import count, percent
from codistill.study.results import Result, networks_of, values_of
from codistill.study.summary import Summary


@dataclass(frozen=True)
class Measure:
    """How a measure is called, and what a network does that has it.

    Attributes:
        key: of results.
        short: for the terminal's table.
        name: within a sentence.
        example: one of what it is measured on.
        examples: several of them.
        ensemble: how an ensemble is made.
    """

    key: str
    short: str
    name: str
    example: str = "test example"
    examples: str = "examples"
    ensemble: str = "of the mean of a cohort's posteriors"

    @property
    def title(self) -> str:
        """At the beginning of a sentence, or of a title; mAP stays as it is."""
        return self.name.capitalize() if self.name.islower() else self.name

    def reached(self, value: float | None, what: str = "them") -> str:
        """What a network does, without its subject."""
        if self.key == "accuracy":
            return f"classifies {percent(value)} % of {what} correctly"
        return f"reaches a mAP of {percent(value)} %"

    def tested(self, n: int) -> str:
        """``797 test examples``."""
        return count(n, self.example, f"test {self.examples}")


ACCURACY = Measure("accuracy", "Acc. %", "accuracy")
SEVERAL_LABELS = Measure("map", "mAP %", "mAP")
RETRIEVAL = Measure(
    "map", "mAP %", "mAP", "test query", "queries", "of a search with the features of a cohort's networks side by side"
)


def measure_of(summary: Summary) -> Measure:
    """What a summary compares."""
    return _measure(summary.measure, any("cmc1" in row.beside for row in summary.rows))


def measure_of_results(results: Iterable[Result]) -> Measure:
    """What the networks of a run are known by."""
    single = networks_of(results)
    key = "map" if single and len(values_of(single, "map")) == len(single) else "accuracy"
    return _measure(key, any("cmc1" in result.values for result in single))


def _measure(key: str, ranks: bool) -> Measure:
    return ACCURACY if key != "map" else RETRIEVAL if ranks else SEVERAL_LABELS
