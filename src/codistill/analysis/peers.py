"""How much peers differ over the epochs, from a run's log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from codistill.analysis.curves import EpochLine, epoch_lines
from codistill.metrics.pairs import off_diagonal
from codistill.statistics.interval import mean_sd


@dataclass(frozen=True)
class PeerEpoch:
    """One method's epoch, means over seeds and over pairs of peers; None where nothing was logged.

    Attributes:
        method: its name.
        epoch: from 1.
        divergence: mean KL(p_j || p_i) over all pairs, in nats.
        divergence_sd: over runs and pairs; None for a single value.
        agreement: share of samples on which two peers choose the same class.
        agreement_sd: over runs and pairs.
        ratio: mean of all imitation terms together divided by the task loss.
        ratio_sd: over runs and peers.
    """

    method: str
    epoch: int
    divergence: float | None
    divergence_sd: float | None
    agreement: float | None
    agreement_sd: float | None
    ratio: float | None
    ratio_sd: float | None


def over_epochs(lines: Iterable[Mapping[str, Any]]) -> list[PeerEpoch]:
    """One entry per method and epoch, from the lines of ``log.jsonl``."""
    groups: dict[tuple[str, int], list[EpochLine]] = {}
    for line in epoch_lines(lines):
        groups.setdefault((line.method, line.epoch), []).append(line)
    return [
        PeerEpoch(
            method,
            epoch,
            *known_mean_sd([v for line in group for v in off_diagonal(line.edges)]),
            *known_mean_sd([v for line in group for v in off_diagonal(line.agree)]),
            *known_mean_sd([v for line in group for v in ratios(line)]),
        )
        for (method, epoch), group in sorted(groups.items(), key=lambda item: item[0][1])
    ]


def ratios(line: EpochLine) -> list[float]:
    """For each peer, all its imitation terms together divided by its task loss; empty where there is none."""
    sums = [sum(values) for values in zip(*line.imitation.values(), strict=True)]
    return [imitation / task for imitation, task in zip(sums, line.task, strict=False) if task > 0]


def known_mean_sd(values: list[float]) -> tuple[float | None, float | None]:
    """As `mean_sd`; None for a mean of no values, and for the spread of fewer than two."""
    mean, sd = mean_sd(values) if values else (None, None)
    return mean, sd if len(values) > 1 else None
