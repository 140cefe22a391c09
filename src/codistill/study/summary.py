"""The table of a study, computed from its results, and its form in ``summary.json``."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from codistill import files, methods, models
from codistill.jsonable import from_json, to_json
from codistill.metrics import averaged
from codistill.spec import Spec
from codistill.statistics.interval import Gain, mean_sd
from codistill.study.costs import Costs, alone_costs
from codistill.study.differences import (
    Difference,
    Key,
    Measured,
    Networks,
    churn_difference,
    churn_interval,
)
from codistill.study.doubts import RowDoubt
from codistill.study.entries import Entry, Study
from codistill.study.results import Pairs, Result, measured, networks_of, row_of
from codistill.study.traffic import RowTraffic
from codistill.training.decisions import Decisions
from codistill.training.sizes import Sizes

CALIBRATION = ("ece", "nll")
MEASURES = ("map", "accuracy")  # the first that every network has is what a study compares


@dataclass(frozen=True)
class Ensemble:
    """The mean of a cohort's ensembles over seeds; ``alone``: of the same networks trained alone, where one row holds
    them all.
    """

    networks: int
    mean: float
    alone: float | None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Passes and seconds, as multiples of training one network alone: of a cohort with its teacher, and per network.

    Seconds are None where nothing was timed.
    """

    forward: float
    backward: float
    seconds: float | None = None
    forward_per_network: float
    backward_per_network: float
    seconds_per_network: float | None = None


# In JSON these fields lie flat: what their parts are called there, after the field's name.
FLAT = {
    "gain": {"mean": "mean", "ci95": "interval", "per_seed": "per_seed", "ci95_crossed": "crossed"},
    "ensemble": {"networks": "networks", "mean": "mean", "alone_mean": "alone"},
}


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One method, or one kind of network where a method has several; fields in the order of the JSON.

    Attributes:
        method: its name.
        label: for tables.
        alone: whether these are the networks that others are compared with.
        peers: networks that must be trained to get one of these (a teacher not counted).
        seeds: how many.
        networks: how many in all.
        mean: of what is compared, over networks and seeds.
        sd: over networks and seeds; None for one network.
        beside: means of the other measures.
        alone_mean: as ``mean``, of the networks that these are compared with.
        gain: over them; None for the baseline.
        ensemble: None for a single network.
        pairs: None for a single network, and where they were not compared.
        same_gradient_as: the method of the row whose gradient is the same.
        cost: of training.
        tuned: in a table with tuned rows, whether this is one.
        churn: how many decisions differ between two trainings on the same labels; None where there are none.
        against_alone: by how much `CALIBRATION` and the churn differ from those of the networks that these are compared
            with, by name.
    """

    method: str
    label: str
    alone: bool
    peers: int
    seeds: int
    networks: int
    mean: float
    sd: float | None
    beside: Mapping[str, float]
    alone_mean: float | None
    gain: Gain | None
    ensemble: Ensemble | None
    pairs: Pairs | None
    same_gradient_as: str | None
    cost: Cost
    tuned: bool | None = None
    churn: float | None = None
    against_alone: Mapping[str, Difference] = field(default_factory=dict)

    def as_dict(self, measure: str) -> Mapping[str, Any]:
        """For JSON: flat, and what is compared by its name."""
        row: dict[str, object] = {}
        for name, value in to_json(self).items():
            if name in FLAT:
                row |= {f"{name}_{key}": (value or {}).get(part) for key, part in FLAT[name].items()}
            elif name == "beside":
                row |= {f"{other}_mean": mean for other, mean in value.items()}
            else:
                row[f"{measure}_{name}" if name in ("mean", "sd") else name] = value
        return row

    @classmethod
    def from_dict(cls, row: Mapping[str, Any], measure: str, baseline: str) -> "SummaryRow":
        """From JSON; older rows do not say whether they are the baseline, and have no pairs."""
        values = {"alone": row["method"] == baseline, "alone_mean": None, "pairs": None, **row}
        for name, parts in FLAT.items():
            parts_of = {part: row.get(f"{name}_{key}") for key, part in parts.items()}
            values[name] = None if parts_of["mean"] is None else parts_of
        values |= {name: row[f"{measure}_{name}"] for name in ("mean", "sd")}
        others = [name for name in averaged() if name != measure and f"{name}_mean" in row]
        return from_json(cls, {**values, "beside": {name: row[f"{name}_mean"] for name in others}})


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a study found; fields in the order of the JSON.

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
        question: the study's.
        traffic: what crosses between peers, of each row that has some.
        sizes: of the data and of the training of the first part; None in older summaries.
        doubts: what speaks against the trainings of its rows; older summaries do not say.
        nothing_learnt: whether no network is better than chance.
    """

    recipe: str
    quick: bool = False
    seeds: tuple[int, ...]
    n_test: int
    measure: str = "accuracy"
    baseline: str
    notes: tuple[str, ...]
    rows: tuple[SummaryRow, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    traffic: tuple[RowTraffic, ...] = ()
    sizes: Sizes | None = None
    doubts: tuple[RowDoubt, ...] = ()
    nothing_learnt: bool = False

    @property
    def title(self) -> str:
        """Its question, or its name."""
        return self.question or self.recipe

    def as_dict(self) -> Mapping[str, Any]:
        """For JSON."""
        return {**to_json(self), "rows": [row.as_dict(self.measure) for row in self.rows]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Summary":
        """From JSON; older summaries compare accuracies and do not say so."""
        empty = from_json(cls, {**values, "rows": ()})
        rows = (SummaryRow.from_dict(row, empty.measure, empty.baseline) for row in values["rows"])
        return replace(empty, rows=tuple(rows))

    def to_json(self) -> str:
        """The text of ``summary.json``."""
        return json.dumps(self.as_dict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """From the text of ``summary.json``."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """From the file.

        Raises:
            Damaged: it is no summary; names it.
        """
        values = files.read_json(path)
        try:
            return cls.from_dict(values)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            raise files.Damaged(f"{path} is no summary: {files.said(error)}") from error


def summary(
    study: Study,
    results: Sequence[Result],
    costs: Costs,
    decisions: Mapping[Key, Decisions] | None = None,
    diverged: Mapping[Key, str] | None = None,
) -> Summary:
    """The table: one row per entry, or one per kind of network where it has several.

    Accuracies are fractions; an interval is Student's t over seeds; each network is compared with the one of its kind
    and number trained alone. Without decisions nothing is compared example by example. A row is of the seeds in which
    neither it nor the networks trained alone have diverged, and says in how many it has not.
    """
    by_key = {(row_of(r), r.seed, r.retraining or 0, r.peer, r.networks): r.values for r in measured(results)}
    table = Measured(study, by_key, decisions or {}, results[0].n)
    measure = measure_of(results)
    kept = {e.name: _kept(table, e, diverged or {}) for e in study.entries}
    pairs = {e.name: Pairs.of(r for r in results if row_of(r) == e.name) for e in study.entries}
    return Summary(
        recipe=study.recipe,
        quick=study.quick,
        seeds=study.seeds,
        n_test=results[0].n,
        measure=measure,
        baseline=study.entries[0].name,
        notes=(
            *study.footnotes,
            *(f"Published: {figure}." for figure in study.published),
            *_lost(study, diverged or {}),
        ),
        rows=tuple(
            _row(part, measure, entry, network, costs, pairs[entry.name])
            for entry in study.entries
            if (part := kept[entry.name]) is not None
            for network in dict.fromkeys(entry.networks)
        ),
    )


def _kept(table: Measured, entry: Entry, diverged: Mapping[Key, str]) -> Measured | None:
    """What was measured in the seeds in which nothing has diverged that a row is made of; None where none is left."""
    names = {entry.name, *(each.name for each in table.study.entries if each.alone)}
    lost = {seed for name, seed, _ in diverged if name in names}
    if not lost:
        return table
    seeds = tuple(seed for seed in table.study.seeds if seed not in lost)
    return replace(table, study=replace(table.study, seeds=seeds)) if seeds else None


def _lost(study: Study, diverged: Mapping[Key, str]) -> Iterator[str]:
    """A note for each row that has diverged in some seeds."""
    for entry in study.entries:
        seeds = sorted({seed for name, seed, _ in diverged if name == entry.name})
        if seeds:
            which, of = ", ".join(map(str, seeds)), f"{len(seeds)} of {len(study.seeds)} seeds"
            yield f"{entry.label}: diverged in {of} ({which}), which are left out."


def measure_of(results: Iterable[Result]) -> str:
    """What is compared: the first of `MEASURES` that every network has."""
    single = networks_of(results)
    return next((m for m in MEASURES if all(m in r.values for r in single)), MEASURES[-1])


def _row(table: Measured, measure: str, entry: Entry, network: Spec, costs: Costs, pairs: Pairs | None) -> SummaryRow:
    study = table.study
    networks = [(entry, i) for i, net in enumerate(entry.networks) if net == network]
    alone = [(study.alone(network, i), i) for _, i in networks]
    mixed, baseline = len(networks) < entry.run.peers, networks[0] == alone[0]
    values = [each for member in networks for each in table.of(*member)]
    mean, sd = mean_sd(each[measure] for each in values)
    others = [name for name in averaged() if name != measure and all(name in each for each in values)]
    churn = table.churn(networks)
    return SummaryRow(
        method=f"{entry.name} [{network}]" if mixed else entry.name,
        label=label_of(entry, network) if mixed else entry.label,
        alone=baseline,
        peers=entry.cohort,
        seeds=len(study.seeds),
        networks=len(values),
        mean=mean,
        sd=sd if len(values) > 1 else None,
        beside={name: fmean(each[name] for each in values) for name in others},
        alone_mean=None if baseline else fmean(each[measure] for member in alone for each in table.of(*member)),
        gain=None if baseline else _gain(table, measure, networks, alone),
        ensemble=_ensemble(table, measure, entry),
        pairs=pairs,
        same_gradient_as=same_gradient(study, entry),
        cost=_cost(study, entry, network, costs),
        churn=None if churn is None else churn_interval(churn)[0],
        against_alone={} if baseline else _against(table, others, networks, alone),
    )


def _gain(table: Measured, measure: str, networks: Networks, alone: Networks) -> Gain:
    gain = table.gain(networks, alone, measure)
    if table.study.quick:
        return replace(gain, interval=None)
    return replace(gain, crossed=table.crossed(networks, alone) if measure == "accuracy" else None)


def _against(table: Measured, known: Sequence[str], networks: Networks, alone: Networks) -> dict[str, Difference]:
    """What differs beside the measure that is compared."""
    gains = {name: table.gain(networks, alone, name) for name in CALIBRATION if name in known}
    found = {name: Difference(gain.mean, gain.interval) for name, gain in gains.items()}
    churn, baseline = table.churn(networks), table.churn(alone)
    if churn is not None and baseline is not None:
        found["churn"] = churn_difference(churn, baseline)
    return {name: replace(each, interval=None) if table.study.quick else each for name, each in found.items()}


def _ensemble(table: Measured, measure: str, entry: Entry) -> Ensemble | None:
    size = entry.run.peers
    if size < 2:
        return None
    base = next((e for e in table.study.entries if e.alone and e.networks[:size] == entry.networks), None)
    mean, *alone = (fmean(v[measure] for v in table.of(each, None, size)) for each in (entry, base) if each)
    return Ensemble(size, mean, alone[0] if alone else None)


def same_gradient(study: Study, entry: Entry) -> str | None:
    """The name of the entry whose gradient is that of this one."""
    other = methods.find(entry.method).same_gradient(entry.method.options)
    twin = entry.run.replace(method=other) if other else None
    return next((candidate.name for candidate in study.entries if candidate.run == twin), None)


def label_of(entry: Entry, network: Spec) -> str:
    """For tables, of one kind of network where a row has several: ``cnn, alone``, ``cnn in DML, 2 networks``."""
    name = models.network_name(network)
    return f"{name}, {entry.label[0].lower()}{entry.label[1:]}" if entry.alone else f"{name} in {entry.label}"


def _cost(study: Study, entry: Entry, network: Spec, costs: Costs) -> Cost:
    """What one network costs by itself, and what must be paid to get one: its cohort and its teachers.

    Of unlike networks each has its part of the seconds, as they take them when trained alone.
    """
    each = costs[entry.name]
    before = [alone_costs(study, costs, name) for name in entry.waits]
    teachers = {kind: sum(other[kind] for other in before) for kind in each}
    own = dict(each)
    if "seconds" in each and len(set(entry.networks)) > 1:
        alone = [alone_costs(study, costs, net, peer)["seconds"] for peer, net in enumerate(entry.networks)]
        own["seconds"] *= alone[entry.networks.index(network)] / fmean(alone)
    whole = each if methods.is_mutual(entry.method) else own
    return Cost(
        **{kind: round(value * entry.cohort + teachers[kind], 3) for kind, value in whole.items()},
        **{f"{kind}_per_network": round(value + teachers[kind], 3) for kind, value in own.items()},
    )
