"""The results of a study or a run, and how similar the networks of its cohorts are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

from codistill import files
from codistill.metrics.pairs import off_diagonal_mean
from codistill.training.results import NetworkResult, PairsResult, result_from_json

Result = NetworkResult | PairsResult


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
        pairs = [result.matrices for result in results if isinstance(result, PairsResult)]
        if not pairs:
            return None
        return cls(*(off_diagonal_mean(matrices[name] for matrices in pairs) for name in cls.__annotations__))


def row_of(result: Result) -> str:
    """The name of a result's row: its entry in a study, else its method."""
    return result.entry or result.method


def networks_of(results: Iterable[Result]) -> list[NetworkResult]:
    """The results of single networks."""
    return [result for result in measured(results) if result.peer is not None]


def measured(results: Iterable[Result]) -> list[NetworkResult]:
    """The results of networks and of ensembles."""
    return [result for result in results if isinstance(result, NetworkResult)]


def values_of(results: Sequence[NetworkResult], metric: str) -> list[float]:
    """The finite values of a metric, of those results that have it."""
    return [value for result in results if isfinite(value := result.values.get(metric, nan))]


def read_results(folder: Path) -> list[Result]:
    """The results of a run's or of a study's folder; none where it is not finished."""
    path = folder / "results.jsonl"
    try:
        return [result_from_json(line) for line in files.read_lines(path)]
    except (files.Damaged, TypeError, KeyError) as error:
        said = error if isinstance(error, files.Damaged) else f"{path} is damaged: {files.said(error)}"
        raise files.Damaged(f"{said}: codistill resume {folder} writes it again") from error
