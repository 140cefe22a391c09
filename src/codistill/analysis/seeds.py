"""Means over seeds, and paired differences from networks trained alone."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from codistill.analysis.measures import NetworkMeasures
from codistill.analysis.runs import Row
from codistill.statistics.interval import mean_sd, paired_gain

_PARTS = [f"{part}_{name}" for name in ("loss", "accuracy", "entropy") for part in ("train", "test")]
MEASURES = (*_PARTS, "noise", "noise_relative", "sharpness", "sharpness_relative", "hessian", "weight_norm")
Key = tuple[int, int, str]


@dataclass(frozen=True)
class Mean:
    """One measure of a method's networks.

    Attributes:
        mean: over networks and seeds.
        sd: over networks and seeds, n - 1 below the line.
        n: networks.
        difference: mean over seeds of the paired difference from the baseline; None where no network has a pair.
        ci95: its 95 % interval, Student's t over seeds; None for one seed.
    """

    mean: float
    sd: float
    n: int
    difference: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class MethodMeans(Row):
    """The networks of one method, or of one kind in it.

    Attributes:
        model: the networks' kind.
        seeds: how many.
        networks: how many.
        measures: by name, those that a network has.
        train_top: sorted posteriors on training examples, means over networks.
        test_top: the same on test examples.
    """

    model: str
    seeds: int
    networks: int
    measures: dict[str, Mean]
    train_top: list[float]
    test_top: list[float]


def method_means(networks: Sequence[NetworkMeasures], rows: Sequence[Row]) -> list[MethodMeans]:
    """One entry per method, and per kind of network where a method is heterogeneous.

    A network is paired with the one of the same seed, number and kind that was trained alone; a network without one
    has no difference.
    """
    baselines = [row.method for row in rows if row.baseline]
    alone = {_key(network): network for network in reversed(networks) if network.method in baselines}
    means = []
    for row in rows:
        members = [network for network in networks if network.method == row.method]
        models = dict.fromkeys(network.model for network in members)
        for model in models:
            named = row if len(models) == 1 else replace(row, label=f"{row.label}, its {model}")
            means.append(_means(named, [n for n in members if n.model == model], {} if row.baseline else alone))
    return means


def _key(network: NetworkMeasures) -> Key:
    return network.seed, network.peer, network.model


def _means(row: Row, networks: Sequence[NetworkMeasures], alone: Mapping[Key, NetworkMeasures]) -> MethodMeans:
    return MethodMeans(
        **vars(row),
        model=networks[0].model,
        seeds=len({network.seed for network in networks}),
        networks=len(networks),
        measures={name: mean for name in MEASURES if (mean := _mean(name, networks, alone)) is not None},
        train_top=_ranks(network.train_top for network in networks),
        test_top=_ranks(network.test_top for network in networks),
    )


def _mean(name: str, networks: Sequence[NetworkMeasures], alone: Mapping[Key, NetworkMeasures]) -> Mean | None:
    values = [value for network in networks if (value := _value(network, name)) is not None]
    if not values:
        return None
    mean, sd = mean_sd(values)
    by_seed: dict[int, list[tuple[float, float]]] = {}
    for network in networks:
        value, base = _value(network, name), _value(alone.get(_key(network)), name)
        if value is not None and base is not None:
            by_seed.setdefault(network.seed, []).append((value, base))
    gain = paired_gain(by_seed.values()) if by_seed else None
    return Mean(mean, sd, len(values), gain.mean if gain else None, gain.interval if gain else None)


def _value(network: NetworkMeasures | None, name: str) -> float | None:
    """A measure; None where it was skipped or is not finite."""
    value = getattr(network, name, None)
    return float(value) if value is not None and math.isfinite(value) else None


def _ranks(tops: Iterable[Sequence[float]]) -> list[float]:
    return [statistics.fmean(values) for values in zip(*(top for top in tops if top), strict=True)]
