"""The table of a study, computed from the rows of its results."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from codistill import methods
from codistill.metrics.interval import mean_sd, paired_interval
from codistill.names import Spec
from codistill.study.entries import BASELINE, Entry, Study

Rows = list[dict[str, Any]]


def _table(study: Study, rows: Rows) -> Callable[[Entry, int, int | None, int], dict[str, float]]:
    """Look-up of a result: entry, seed, peer (None: an ensemble), networks in it."""
    found = {(r["entry"], r["seed"], r["peer"], r["networks"]): r for r in rows}

    def look(entry: Entry, seed: int, peer: int | None, networks: int) -> dict[str, float]:
        return found[entry.name, seed, peer, networks]

    return look


def summary(study: Study, rows: Rows, costs: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The table: one row per entry. Accuracies are fractions; an interval is Student's t over seeds."""
    look = _table(study, rows)
    base = study.entries[0]
    return {
        "recipe": study.recipe,
        "seeds": list(study.seeds),
        "n_test": rows[0]["n"],
        "baseline": base.name,
        "notes": list(study.notes),
        "rows": [_row(study, entry, base, look, costs) for entry in study.entries],
    }


def _row(
    study: Study,
    entry: Entry,
    base: Entry,
    look: Callable[[Entry, int, int | None, int], dict[str, float]],
    costs: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    peers = range(entry.run.peers)
    single = [look(entry, seed, i, 1) for seed in study.seeds for i in peers]
    mean, sd = mean_sd([row["accuracy"] for row in single])  # no sd, and no interval, of one: null in JSON
    row: dict[str, Any] = {
        "method": entry.name,
        "label": entry.label,
        "peers": entry.cohort,
        "seeds": len(study.seeds),
        "networks": len(single),
        "accuracy_mean": mean,
        "accuracy_sd": sd if len(single) > 1 else None,
        **{f"{key}_mean": statistics.fmean(r[key] for r in single) for key in ("nll", "ece", "brier", "entropy")},
        "gain_mean": None,
        "gain_ci95": None,
        "gain_per_seed": None,
        **_ensembles(study, entry, base, look),
        "same_gradient_as": _same_gradient(study, entry),
        "cost": _cost(entry, base, costs),
    }
    if entry is not base:
        gains = [
            statistics.fmean(look(entry, s, i, 1)["accuracy"] - look(base, s, i, 1)["accuracy"] for i in peers)
            for s in study.seeds
        ]
        mean, low, high = paired_interval(gains)
        row |= {"gain_mean": mean, "gain_ci95": [low, high] if len(gains) > 1 else None, "gain_per_seed": gains}
    return row


def _ensembles(
    study: Study, entry: Entry, base: Entry, look: Callable[[Entry, int, int | None, int], dict[str, float]]
) -> dict[str, Any]:
    """The ensemble of an entry's networks, and that of the networks with the same starts trained alone."""
    size = entry.run.peers
    if size < 2:
        return {"ensemble_networks": None, "ensemble_mean": None, "ensemble_alone_mean": None}
    own = [look(entry, seed, None, size)["accuracy"] for seed in study.seeds]
    alone = [look(base, seed, None, size)["accuracy"] for seed in study.seeds]
    return {
        "ensemble_networks": size,
        "ensemble_mean": statistics.fmean(own),
        "ensemble_alone_mean": statistics.fmean(alone),
    }


def _same_gradient(study: Study, entry: Entry) -> str | None:
    other = methods.find(entry.method).same_gradient(Spec.parse(entry.method).options)
    for candidate in study.entries if other else ():
        like = candidate.run.replace(method=entry.method) == entry.run
        if like and Spec.parse(candidate.method) == Spec.parse(str(other)):
            return candidate.name
    return None


def _cost(entry: Entry, base: Entry, costs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What one network costs by itself, and what has to be paid to get one: its cohort and its teacher."""
    own, alone = costs[entry.name], costs[base.name]
    kinds = ("forward", "backward", "seconds")
    taught = {k: alone[k] if entry.teacher == BASELINE else 0.0 for k in kinds}
    per_network = {f"{k}_per_network": round(own[k] + taught[k], 3) for k in kinds}
    return {**{k: round(own[k] * entry.cohort + taught[k], 3) for k in kinds}, **per_network}
