"""The lines of ``results.jsonl``: of one network, of an ensemble, or of the pairs of a cohort's networks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codistill.metrics.pairs import off_diagonal_mean
from codistill.training.records import read_lines


@dataclass(frozen=True)
class Result:
    """What was measured of one network, of one ensemble, or of all pairs of a cohort.

    Attributes:
        line: as it is written.
        entry: the row of its study; without a study the method.
        method: the run's spec.
        seed: of the run.
        peers: networks of the run.
        peer: the network's number; None for an ensemble and for pairs.
        networks: how many an ensemble has; 1 for one network, None for pairs.
        part: of the data.
        n: examples, or queries.
    """

    line: Mapping[str, Any]
    entry: str
    method: str
    seed: int
    peers: int
    peer: int | None
    networks: int | None
    part: str
    n: int

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> "Result":
        """From JSON."""
        names = ("method", "seed", "peers", "peer", "networks", "part", "n")
        return cls(line, line.get("entry", line["method"]), **{name: line[name] for name in names})

    def get(self, measure: str) -> float | None:
        """The value of a measure; None where it was not measured."""
        value = self.line.get(measure)
        return value if isinstance(value, float) else None

    def __getitem__(self, measure: str) -> float:
        return float(self.line[measure])


@dataclass(frozen=True)
class Pairs:
    """How similar two networks of a cohort are: means over all pairs and seeds; None where no pair has a value.

    Attributes:
        agreement: share of examples in the same class.
        error_correlation: Pearson's r of their errors.
        kl: KL divergence, nats.
        js: Jensen-Shannon divergence, nats.
    """

    agreement: float | None
    error_correlation: float | None
    kl: float | None
    js: float | None

    @classmethod
    def of(cls, results: Iterable[Result]) -> "Pairs | None":
        """The means over the results of pairs; None where there are none."""
        lines = [result.line for result in results if result.networks is None]
        return (
            cls(*(off_diagonal_mean(line[name] for line in lines) for name in cls.__annotations__)) if lines else None
        )


def read_results(folder: Path) -> list[Result]:
    """The results of a run's or of a study's folder; none where it is not finished."""
    return [Result.from_dict(line) for line in read_lines(folder / "results.jsonl")]


__all__ = ["Pairs", "Result", "read_results"]
