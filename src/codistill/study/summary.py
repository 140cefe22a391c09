"""The table of a study, computed from its results, and its form in ``summary.json``."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import Any

from codistill import methods
from codistill.metrics import averaged
from codistill.metrics.interval import Gain, mean_sd, paired_gain
from codistill.spec import Spec
from codistill.study.entries import Entry, Study
from codistill.study.results import Pairs, Result, measured, networks_of, row_of
from codistill.training.results import NetworkResult

MEASURES = ("map", "accuracy")  # the first that every network has is what a study compares
Costs = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Ensemble:
    """The mean of a cohort's ensembles over seeds; ``alone``: of the same networks trained alone, where one row holds
    them all.
    """

    networks: int
    mean: float
    alone: float | None


@dataclass(frozen=True)
class Cost:
    """Passes and seconds, as multiples of training one network alone: of a cohort with its teacher, and per network.

    Seconds are None where nothing was timed.
    """

    forward: float
    backward: float
    forward_per_network: float
    backward_per_network: float
    seconds: float | None = None
    seconds_per_network: float | None = None

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        kinds = ("forward", "backward", "seconds")
        values = {name: getattr(self, name) for name in (*kinds, *(f"{kind}_per_network" for kind in kinds))}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class SummaryRow:
    """One method, or one kind of network where a method has several.

    Attributes:
        method: its name.
        label: for tables.
        peers: networks that must be trained to get one of these (a teacher not counted).
        seeds: how many.
        networks: how many in all.
        mean: of what is compared, over networks and seeds.
        sd: over networks and seeds; None for one network.
        beside: means of the other measures.
        alone: whether these are the networks that others are compared with.
        alone_mean: as ``mean``, of the networks that these are compared with.
        gain: over them; None for the baseline.
        ensemble: None for a single network.
        pairs: None for a single network, and where they were not compared.
        same_gradient_as: the method of the row whose gradient is the same.
        cost: of training.
        tuned: in a table with tuned rows, whether this is one.
    """

    method: str
    label: str
    peers: int
    seeds: int
    networks: int
    mean: float
    sd: float | None
    beside: Mapping[str, float]
    cost: Cost
    alone: bool = False
    alone_mean: float | None = None
    gain: Gain | None = None
    ensemble: Ensemble | None = None
    pairs: Pairs | None = None
    same_gradient_as: str | None = None
    tuned: bool | None = None

    def as_dict(self, measure: str) -> dict[str, Any]:
        """For JSON."""
        gain, ensemble = self.gain, self.ensemble
        return {
            **{name: getattr(self, name) for name in ("method", "label", "alone", "peers", "seeds", "networks")},
            f"{measure}_mean": self.mean,
            f"{measure}_sd": self.sd,
            **{f"{name}_mean": value for name, value in self.beside.items()},
            "alone_mean": self.alone_mean,
            "gain_mean": gain.mean if gain else None,
            "gain_ci95": list(gain.interval) if gain and gain.interval else None,
            "gain_per_seed": list(gain.per_seed) if gain else None,
            "ensemble_networks": ensemble.networks if ensemble else None,
            "ensemble_mean": ensemble.mean if ensemble else None,
            "ensemble_alone_mean": ensemble.alone if ensemble else None,
            "pairs": asdict(self.pairs) if self.pairs else None,
            "same_gradient_as": self.same_gradient_as,
            "cost": self.cost.as_dict(),
            **({} if self.tuned is None else {"tuned": self.tuned}),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any], measure: str, baseline: str) -> "SummaryRow":
        """From JSON; older rows do not say whether they are the baseline, and have no pairs."""
        interval, size, pairs = row["gain_ci95"], row["ensemble_networks"], row.get("pairs")
        gain = Gain(row["gain_mean"], interval and tuple(interval), tuple(row["gain_per_seed"] or ()))
        return cls(
            **{name: row[name] for name in ("method", "label", "peers", "seeds", "networks", "same_gradient_as")},
            mean=row[f"{measure}_mean"],
            sd=row[f"{measure}_sd"],
            beside={name: row[f"{name}_mean"] for name in averaged() if name != measure and f"{name}_mean" in row},
            cost=Cost(**row["cost"]),
            alone=row.get("alone", row["method"] == baseline),
            alone_mean=row.get("alone_mean"),
            gain=None if row["gain_mean"] is None else gain,
            ensemble=size and Ensemble(size, row["ensemble_mean"], row["ensemble_alone_mean"]),
            pairs=Pairs(**pairs) if pairs else None,
            tuned=row.get("tuned"),
        )


@dataclass(frozen=True)
class Summary:
    """What a study found.

    Attributes:
        recipe: the study's name.
        quick: only a check that everything works; its figures mean nothing.
        seeds: of its runs.
        n_test: examples, or queries, that it was measured on.
        measure: what is compared: ``map`` of retrieval and of several labels each, else ``accuracy``.
        baseline: the method of the baseline's row.
        notes: printed below the table.
        rows: the baseline first.
        settings: of all runs.
        command: that made it.
        versions: of the packages that made it.
    """

    recipe: str
    seeds: tuple[int, ...]
    n_test: int
    measure: str
    baseline: str
    notes: tuple[str, ...]
    rows: tuple[SummaryRow, ...]
    quick: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "recipe": self.recipe,
            "quick": self.quick,
            "seeds": list(self.seeds),
            "n_test": self.n_test,
            "measure": self.measure,
            "baseline": self.baseline,
            "notes": list(self.notes),
            "rows": [row.as_dict(self.measure) for row in self.rows],
            "settings": dict(self.settings),
            "command": self.command,
            "versions": dict(self.versions),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Summary":
        """From JSON; older summaries compare accuracies and do not say so."""
        measure, baseline = values.get("measure", "accuracy"), values["baseline"]
        return cls(
            recipe=values["recipe"],
            seeds=tuple(values["seeds"]),
            n_test=values["n_test"],
            measure=measure,
            baseline=baseline,
            notes=tuple(values["notes"]),
            rows=tuple(SummaryRow.from_dict(row, measure, baseline) for row in values["rows"]),
            quick=values.get("quick", False),
            settings=values["settings"],
            command=values["command"],
            versions=values["versions"],
        )

    def to_json(self) -> str:
        """The text of ``summary.json``."""
        return json.dumps(self.as_dict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """From the text of ``summary.json``."""
        return cls.from_dict(json.loads(text))


def summary(study: Study, results: Sequence[Result], costs: Costs) -> Summary:
    """The table: one row per entry, or one per kind of network where it has several.

    Accuracies are fractions; an interval is Student's t over seeds; each network is compared with the one of its kind
    and number trained alone.
    """
    table = _Results(
        study, {(row_of(r), r.seed, r.peer, r.networks): r for r in measured(results)}, measure_of(results)
    )
    pairs = {e.name: Pairs.of(r for r in results if row_of(r) == e.name) for e in study.entries}
    return Summary(
        recipe=study.recipe,
        seeds=study.seeds,
        n_test=results[0].n,
        measure=table.measure,
        baseline=study.entries[0].name,
        notes=(*study.footnotes, *(f"Published: {figure}." for figure in study.published)),
        rows=tuple(
            replace(_row(table, entry, network, costs), pairs=pairs[entry.name])
            for entry in study.entries
            for network in dict.fromkeys(entry.networks)
        ),
        quick=study.quick,
    )


def measure_of(results: Iterable[Result]) -> str:
    """What is compared: the first of `MEASURES` that every network has."""
    single = networks_of(results)
    return next((m for m in MEASURES if all(m in r.values for r in single)), MEASURES[-1])


@dataclass(frozen=True)
class _Results:
    """The results of a study by entry, seed, peer (None: an ensemble) and number of networks."""

    study: Study
    by_key: Mapping[tuple[str, int, int | None, int], NetworkResult]
    measure: str

    def value(self, entry: Entry, seed: int, peer: int | None, networks: int = 1) -> float:
        """What is compared, of a network or of an ensemble."""
        return self.by_key[entry.name, seed, peer, networks].values[self.measure]

    def pairs(self, entry: Entry, network: Spec, peers: Sequence[int]) -> list[list[tuple[float, float]]]:
        """What is compared, of each peer and of the same network trained alone, seed by seed."""
        bases = [(i, self.study.alone(network, i)) for i in peers]
        return [
            [(self.value(entry, seed, i), self.value(base, seed, i)) for i, base in bases] for seed in self.study.seeds
        ]

    def ensemble(self, entry: Entry, networks: int) -> float:
        """The mean over seeds of the ensemble of the first networks."""
        return fmean(self.value(entry, seed, None, networks) for seed in self.study.seeds)


def _row(table: _Results, entry: Entry, network: Spec, costs: Costs) -> SummaryRow:
    study, measure = table.study, table.measure
    peers = [i for i, net in enumerate(entry.networks) if net == network]
    mixed = len(peers) < entry.run.peers
    values = [table.by_key[entry.name, seed, i, 1].values for seed in study.seeds for i in peers]
    mean, sd = mean_sd(each[measure] for each in values)
    alone = entry is study.alone(network, peers[0])
    pairs = [] if alone else table.pairs(entry, network, peers)
    gain = None if alone else paired_gain(pairs)
    return SummaryRow(
        method=f"{entry.name} [{network}]" if mixed else entry.name,
        label=f"{entry.label}: its {network}" if mixed else entry.label,
        peers=entry.cohort,
        seeds=len(study.seeds),
        networks=len(values),
        mean=mean,
        sd=sd if len(values) > 1 else None,
        beside={
            m: fmean(each[m] for each in values)
            for m in averaged()
            if m != measure and all(m in each for each in values)
        },
        cost=_cost(study, entry, costs),
        alone=alone,
        alone_mean=None if alone else fmean(base for seed in pairs for _, base in seed),
        gain=replace(gain, interval=None) if gain and study.quick else gain,
        ensemble=_ensemble(table, entry),
        same_gradient_as=same_gradient(study, entry),
    )


def _ensemble(table: _Results, entry: Entry) -> Ensemble | None:
    size = entry.run.peers
    if size < 2:
        return None
    base = next((e for e in table.study.entries if e.alone and e.networks[:size] == entry.networks), None)
    return Ensemble(size, table.ensemble(entry, size), table.ensemble(base, size) if base else None)


def same_gradient(study: Study, entry: Entry) -> str | None:
    """The name of the entry whose gradient is that of this one."""
    other = methods.find(entry.method).same_gradient(entry.method.options)
    for candidate in study.entries if other else ():
        like = candidate.run.replace(method=entry.method) == entry.run
        if like and candidate.method == Spec.of(str(other)):
            return candidate.name
    return None


def _cost(study: Study, entry: Entry, costs: Costs) -> Cost:
    """What one network costs by itself, and what must be paid to get one: its cohort and its teachers."""
    each = costs[entry.name]
    before = [study.alone(name) for name in entry.waits]
    teachers = {kind: sum(costs[other.name][kind] for other in before) for kind in each}
    return Cost(
        **{kind: round(value * entry.cohort + teachers[kind], 3) for kind, value in each.items()},
        **{f"{kind}_per_network": round(value + teachers[kind], 3) for kind, value in each.items()},
    )
