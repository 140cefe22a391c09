"""Means over seeds, and paired differences from networks trained alone."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from codistill.analysis.subjects import Row
from codistill.metrics.interval import mean_sd, paired_interval

Network = Mapping[str, Any]

MEASURES = (
    "train_loss",
    "test_loss",
    "train_accuracy",
    "test_accuracy",
    "train_entropy",
    "test_entropy",
    "noise",
    "noise_relative",
    "sharpness",
    "sharpness_relative",
    "hessian",
    "weight_norm",
)


def rows(networks: Sequence[Network], methods: Sequence[Row]) -> list[dict[str, Any]]:
    """One row per method, and per kind of network where a method has unlike ones: mean, sd over networks and difference
    from the baseline of each measure.

    A difference is taken network by network, from the one of the same seed, number and kind that was trained alone,
    then averaged within a seed; the interval is Student's t over seeds. It is null where there is no such network.
    """
    bases = [row.method for row in methods if row.baseline]
    alone: dict[tuple[Any, ...], Network] = {}
    for n in networks:
        if n["method"] in bases:
            alone.setdefault(_key(n), n)
    found = []
    for row in methods:
        own = [n for n in networks if n["method"] == row.method]
        models = list(dict.fromkeys(n["model"] for n in own))
        for model in models:
            label = row.label if len(models) == 1 else f"{row.label}, its {model}"
            found.append(_row(row, model, label, [n for n in own if n["model"] == model], alone))
    return found


def _key(n: Network) -> tuple[Any, ...]:
    return n["seed"], n["peer"], n["model"]


def _row(
    row: Row, model: str, label: str, own: Sequence[Network], alone: Mapping[tuple[Any, ...], Network]
) -> dict[str, Any]:
    kept = [name for name in MEASURES if any(_finite(n.get(name)) for n in own)]
    return {
        "method": row.method,
        "model": model,
        "label": label,
        "baseline": row.baseline,
        "seeds": len({n["seed"] for n in own}),
        "networks": len(own),
        "measures": {name: _summary(name, own, {} if row.baseline else alone) for name in kept},
        **{f"{part}_top": _ranks([n[f"{part}_top"] for n in own if n[f"{part}_top"]]) for part in ("train", "test")},
    }


def _summary(name: str, own: Sequence[Network], alone: Mapping[tuple[Any, ...], Network]) -> dict[str, Any]:
    values = [float(n[name]) for n in own if _finite(n.get(name))]
    mean, sd = mean_sd(values)
    by_seed: dict[int, list[float]] = {}
    for n in own:
        other = alone.get(_key(n))
        if other is not None and _finite(n.get(name)) and _finite(other.get(name)):
            by_seed.setdefault(n["seed"], []).append(float(n[name]) - float(other[name]))
    found: dict[str, Any] = {"mean": mean, "sd": sd, "n": len(values), "difference": None, "ci95": None}
    if by_seed:
        gain, low, high = paired_interval([statistics.fmean(each) for each in by_seed.values()])
        found |= {"difference": gain, "ci95": None if len(by_seed) == 1 else [low, high]}
    return found


def _ranks(each: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.fmean(values) for values in zip(*each, strict=True)]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


__all__ = ["MEASURES", "rows"]
