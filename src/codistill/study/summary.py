"""The table of a study, computed from the rows of its results."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

from codistill import methods, metrics
from codistill.metrics.interval import mean_sd, paired_interval
from codistill.metrics.pairs import off_diagonal_mean
from codistill.spec import Spec
from codistill.study.entries import BASELINE, Entry, Study

Rows = list[dict[str, Any]]
Look = Callable[[Entry, int, int | None, int | None], dict[str, Any]]
MEASURES = ("map", "accuracy")  # the first that every row has is what a study compares


def _table(study: Study, rows: Rows) -> Look:
    """Look-up of a result: entry, seed, peer (None: an ensemble), networks in it (None: what its pairs are like)."""
    found = {(r["entry"], r["seed"], r["peer"], r["networks"]): r for r in rows}  # networks: None are its pairs

    def look(entry: Entry, seed: int, peer: int | None, networks: int | None) -> dict[str, Any]:
        return found[entry.name, seed, peer, networks]

    return look


def summary(study: Study, rows: Rows, costs: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The table: one row per entry, or one per kind of network where it has several. Accuracies are fractions; an
    interval is Student's t over seeds; each network is compared with the one of its kind and place trained alone.

    What is compared is said in ``measure``: ``map`` of open sets and of several labels each, else ``accuracy``.
    """
    look, measure = _table(study, rows), measure_of(rows)
    base = study.entries[0]
    return {
        "recipe": study.recipe,
        "quick": study.quick,
        "seeds": list(study.seeds),
        "n_test": rows[0]["n"],
        "measure": measure,
        "baseline": base.name,
        "notes": [*study.notes, *(f"Published: {figure}." for figure in study.published)],
        "rows": [
            _row(study, entry, network, look, measure, costs)
            for entry in study.entries
            for network in dict.fromkeys(entry.networks)
        ],
    }


def measure_of(rows: Rows) -> str:
    """What is compared: the first of `MEASURES` that every network has."""
    single = [row for row in rows if row["peer"] is not None]
    return next((m for m in MEASURES if all(isinstance(row.get(m), float) for row in single)), MEASURES[-1])


def _row(
    study: Study,
    entry: Entry,
    network: str,
    look: Look,
    measure: str,
    costs: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    peers = [i for i, net in enumerate(entry.networks) if net == network]
    unlike = len(peers) < entry.run.peers
    base = study.alone(network, peers[0])
    single = [look(entry, seed, i, 1) for seed in study.seeds for i in peers]
    mean, sd = mean_sd([row[measure] for row in single])  # no sd, and no interval, of one: null in JSON
    row: dict[str, Any] = {
        "method": f"{entry.name} [{network}]" if unlike else entry.name,
        "label": f"{entry.label}: its {network}" if unlike else entry.label,
        "alone": entry is base,
        "peers": entry.cohort,
        "seeds": len(study.seeds),
        "networks": len(single),
        f"{measure}_mean": mean,
        f"{measure}_sd": sd if len(single) > 1 else None,
        **{
            f"{key}_mean": statistics.fmean(r[key] for r in single)
            for key in metrics.averaged()
            if key != measure and all(key in r for r in single)
        },
        "alone_mean": None,
        "gain_mean": None,
        "gain_ci95": None,
        "gain_per_seed": None,
        **_ensembles(study, entry, look, measure),
        "pairs": _pairs(study, entry, look),
        "same_gradient_as": _same_gradient(study, entry),
        "cost": _cost(study, entry, costs),
    }
    if entry is not base:
        twins = [[look(study.alone(network, i), s, i, 1)[measure] for i in peers] for s in study.seeds]
        own = [[look(entry, s, i, 1)[measure] for i in peers] for s in study.seeds]
        gains = [statistics.fmean(o) - statistics.fmean(t) for o, t in zip(own, twins, strict=True)]
        mean, low, high = paired_interval(gains)
        row |= {
            "alone_mean": statistics.fmean(value for seed in twins for value in seed),
            "gain_mean": mean,
            "gain_ci95": [low, high] if len(gains) > 1 and not study.quick else None,
            "gain_per_seed": gains,
        }
    return row


def _ensembles(study: Study, entry: Entry, look: Look, measure: str) -> dict[str, Any]:
    """The ensemble of an entry's networks, and that of the networks with the same starts trained alone.

    The latter is measured where one row holds them all.
    """
    size = entry.run.peers
    if size < 2:
        return {"ensemble_networks": None, "ensemble_mean": None, "ensemble_alone_mean": None}
    own = [look(entry, seed, None, size)[measure] for seed in study.seeds]
    base = next((e for e in study.entries if e.alone and e.networks[:size] == entry.networks), None)
    alone = [look(base, seed, None, size)[measure] for seed in study.seeds] if base else []
    return {
        "ensemble_networks": size,
        "ensemble_mean": statistics.fmean(own),
        "ensemble_alone_mean": statistics.fmean(alone) if alone else None,
    }


def _pairs(study: Study, entry: Entry, look: Look) -> dict[str, float | None] | None:
    """How alike the networks of a cohort are: means over all pairs of two and over seeds."""
    if entry.run.peers < 2:
        return None
    try:
        found = [look(entry, seed, None, None) for seed in study.seeds]
    except KeyError:  # open sets have none, nor have results of old
        return None
    return {
        m.key: off_diagonal_mean(row[m.key] for row in found if m.key in row) for m in metrics.computed_from("pairs")
    }


def _same_gradient(study: Study, entry: Entry) -> str | None:
    other = methods.find(entry.method).same_gradient(Spec.parse(entry.method).options)
    for candidate in study.entries if other else ():
        like = candidate.run.replace(method=entry.method) == entry.run
        if like and Spec.parse(candidate.method) == Spec.parse(str(other)):
            return candidate.name
    return None


def _cost(study: Study, entry: Entry, costs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What one network costs by itself, and what has to be paid to get one: its cohort and what taught it."""
    own = costs[entry.name]
    before = [study.entries[0] if name == BASELINE else study.alone(name) for name in entry.waits]
    kinds = [kind for kind in ("forward", "backward", "seconds") if kind in own]
    taught = {k: sum(costs[other.name][k] for other in before) for k in kinds}
    per_network = {f"{k}_per_network": round(own[k] + taught[k], 3) for k in kinds}
    return {**{k: round(own[k] * entry.cohort + taught[k], 3) for k in kinds}, **per_network}
