"""What a study compares, in words: accuracy, or the mean average precision of open sets and of several labels."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from codistill.report.numbers import count, known, percent


@dataclass(frozen=True)
class Measure:
    """How a measure is called, and what a network does that has it.

    Attributes:
        key: of results; a summary has ``<key>_mean`` and ``<key>_sd``.
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

    def mean(self, row: dict[str, Any]) -> float | None:
        """Of one network, the mean in a summary's row."""
        return row.get(f"{self.key}_mean")

    def sd(self, row: dict[str, Any]) -> float | None:
        """Over networks."""
        return row.get(f"{self.key}_sd")

    def reached(self, value: float | None, what: str = "them") -> str:
        """What a network does, without its subject."""
        if self.key == "accuracy":
            return f"classifies {percent(value)} % of {what} correctly"
        return f"reaches a mAP of {percent(value)} %"


ACCURACY = Measure("accuracy", "Acc. %", "accuracy")
SEVERAL_LABELS = Measure("map", "mAP %", "mAP")
OPEN_SET = Measure(
    "map",
    "mAP %",
    "mAP",
    "test query",
    "queries",
    "of a search with the features of a cohort's networks side by side",
)


def measure_of(summary: dict[str, Any] | None) -> Measure:
    """What a summary compares; one of old says nothing and compares accuracies."""
    found = summary or {}
    if found.get("measure", "accuracy") != "map":
        return ACCURACY
    return OPEN_SET if is_search(found.get("rows") or ()) else SEVERAL_LABELS


def measure_of_results(results: Iterable[dict[str, Any]]) -> Measure:
    """What the networks of a run are known by."""
    rows = [row for row in results if row.get("peer") is not None]
    if not rows or not all(known(row.get("map")) for row in rows):
        return ACCURACY
    return OPEN_SET if any("cmc1" in row for row in rows) else SEVERAL_LABELS


def is_search(rows: Iterable[dict[str, Any]]) -> bool:
    """Whether the rows of a summary have the ranks of a search."""
    return any(known(row.get("cmc1_mean")) for row in rows)


def tested(measure: Measure, summary: dict[str, Any]) -> str:
    """``797 test examples``, or that the number is not known."""
    n = summary.get("n_test")
    return count(int(n), measure.example, f"test {measure.examples}") if n is not None and known(n) else "the test set"
