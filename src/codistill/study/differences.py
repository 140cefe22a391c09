"""How networks differ from those trained alone, and trainings from one another: in values, and example by example."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from codistill.run import Run
from codistill.statistics.crossed import crossed_interval
from codistill.statistics.interval import Gain, paired_gain, paired_interval
from codistill.statistics.jackknife import pairs_interval
from codistill.study.entries import Entry, Study
from codistill.training.decisions import Decisions

DRAWN = ("labels", "valid", "shards", "noise")  # where these are set, seeds learn from other labels

Key = tuple[str, int, int]  # an entry's name, a seed, and the number of a training on its labels
Networks = Sequence[tuple[Entry, int]]  # each by its entry and its number in it
Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Difference:
    """A paired difference from networks trained alone.

    Attributes:
        mean: over seeds.
        interval: its 95 % interval over seeds; None where they are too few.
    """

    mean: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, mean: float, low: float, high: float) -> "Difference":
        """From an interval that may be unknown (nan)."""
        return cls(mean, (low, high) if math.isfinite(low) else None)


@dataclass(frozen=True)
class Measured:
    """What was measured in a study.

    Attributes:
        study: what was compared.
        values: by peer (None: an ensemble) and number of networks, after the key.
        decisions: those that are known.
        examples: how many there were.
    """

    study: Study
    values: Mapping[tuple[str, int, int, int | None, int], Mapping[str, float]]
    decisions: Mapping[Key, Decisions]
    examples: int

    def of(self, entry: Entry, peer: int | None, networks: int = 1) -> list[Mapping[str, float]]:
        """The values of a network, or of an ensemble, in each training."""
        return [self.values[(entry.name, *training, peer, networks)] for training in self.study.trainings]

    def gain(self, networks: Networks, alone: Networks, key: str) -> Gain:
        """By how much a value is above that of the counterparts trained alone."""
        pairs = [
            [(a[key], b[key]) for a, b in zip(self.of(*network), self.of(*other), strict=True)]
            for network, other in zip(networks, alone, strict=True)
        ]
        trainings = zip(*pairs, strict=True)  # of each, the pairs of all networks
        return paired_gain([pair for training in seed for pair in training] for seed in self._by_seed(trainings))

    def crossed(self, networks: Networks, alone: Networks) -> tuple[float, float] | None:
        """The interval of the gain in accuracy for other seeds and other examples.

        None for one seed, and where a decision is no example: of several labels, of tokens.
        """
        method, baseline = self._decided(networks, "correct"), self._decided(alone, "correct")
        if method is None or baseline is None or len(method) < 2 or method[0].shape[-1] != self.examples:
            return None
        differences = [
            (mine.astype(float) - others).mean((0, 1)) for mine, others in zip(method, baseline, strict=True)
        ]
        _, low, high = crossed_interval(np.array(differences))
        return low, high

    def churn(self, networks: Networks) -> NDArray[np.float64] | None:
        """How many decisions differ between two trainings on the same labels, mean over networks.

        Of each seed ``[S]`` that is trained on several times, else of every two seeds ``[S, S]`` where all learn from
        the same labels; None where neither is so.
        """
        classes = self._decided(networks, "classes")
        if classes is None:
            return None
        if self.study.retrainings > 1:
            several = [list(itertools.combinations(seed, 2)) for seed in classes if len(seed) > 1]
            return np.array([np.mean([(a != b).mean() for a, b in pairs]) for pairs in several])
        same = all(getattr(entry.run, name) == getattr(Run(), name) for entry, _ in networks for name in DRAWN)
        return np.array([[(a != b).mean() for b in classes] for a in classes]) if same and len(classes) > 1 else None

    def _decided(self, networks: Networks, what: Literal["classes", "correct"]) -> list[NDArray[Any]] | None:
        """What networks decided on the test part, if known: of each seed its trainings, ``[R, P, n]``."""
        keys = [[((entry.name, *training), i) for entry, i in networks] for training in self.study.trainings]
        if self.study.part != "test" or not {key for each in keys for key, _ in each} <= self.decisions.keys():
            return None
        trainings = ([getattr(self.decisions[key], what)[i].numpy() for key, i in each] for each in keys)
        return [np.array(seed) for seed in self._by_seed(trainings)]

    def _by_seed(self, trainings: Iterable[Kept]) -> list[list[Kept]]:
        """What belongs to each training, in lists of those on one seed's labels."""
        numbered = zip(self.study.trainings, trainings, strict=True)
        return [[each for _, each in group] for _, group in itertools.groupby(numbered, key=lambda item: item[0][0])]


def churn_difference(method: NDArray[np.float64], baseline: NDArray[np.float64]) -> Difference:
    """The difference of what `Measured.churn` gives for two rows."""
    return Difference.of(*churn_interval(method - baseline))


def churn_interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean and interval of `Measured.churn`."""
    return pairs_interval(values) if values.ndim == 2 else paired_interval(values)


__all__ = ["Difference", "Measured", "churn_difference", "churn_interval"]
