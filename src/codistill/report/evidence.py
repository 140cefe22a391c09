"""What networks decide, example by example, and who learns from whom: what a report's figures take from a folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from codistill import methods, study as studies
from codistill.description import FILE, read_description
from codistill.graph import Graph
from codistill.report.verdict import is_mutual
from codistill.spec import Spec
from codistill.study.disputed import Disputed, Shown, most_disputed, read_examples
from codistill.study.results import Result, networks_of, row_of
from codistill.study.summary import Summary, SummaryRow
from codistill.training.decisions import Decisions
from codistill.training.initial_weights import untrained

_MOST_CLASSES = 1000  # beyond this no figure of classes is read

Cohorts = Sequence[Decisions]  # those of a row's trainings, in the order of seeds


@dataclass(frozen=True)
class Evidence:
    """What a folder holds besides its summary.

    Attributes:
        decisions: by entry, those of each training; entries in the same order.
        classes: the classes' names; numbers stand for those that are unknown.
        models: by entry, what each of its networks is; none of entries of older versions, which did not say.
        examples: what some test examples look like, by their numbers.
    """

    decisions: Mapping[str, Cohorts] = field(default_factory=dict)
    classes: Sequence[str] = ()
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    examples: Mapping[int, Shown] = field(default_factory=dict)

    def name(self, number: int) -> str:
        """Of a class."""
        return self.classes[number] if number < len(self.classes) else str(number)

    def kind(self, row: SummaryRow) -> str:
        """What the networks of a row are; empty where that is unknown."""
        if " [" in row.method:
            return row.method.partition(" [")[2].removesuffix("]")
        return next(iter(self.models.get(row.method, ())), "")

    def of(self, row: SummaryRow) -> Cohorts:
        """The decisions of a row's networks in each training, which may be one kind of several in its entry."""
        cohorts = self.decisions.get(_entry(row), ())
        if " [" not in row.method:
            return cohorts
        kind, models = self.kind(row), self.models.get(_entry(row), ())
        peers = [peer for peer, model in enumerate(models) if model == kind]
        return [each.only(peers) for each in cohorts] if peers else ()


NOTHING = Evidence()


def evidence_of(folder: Path, results: Iterable[Result] = ()) -> Evidence:
    """What the folder of a study holds; versions that did not write what its networks give have numbers for classes.

    The modules that the study names are not imported.

    Args:
        folder: of the study.
        results: its, which say what each network is.
    """
    first = folder / "parts" / "000"
    classes = read_description(first).label_names if (first / FILE).exists() else ()
    found: dict[str, list[Decisions]] = {}
    for (entry, _, _), decisions in sorted(studies.decisions_of(folder).items(), key=lambda each: each[0]):
        found.setdefault(entry, []).append(decisions)
    return Evidence(found, classes, _models(results), read_examples(folder))


def _models(results: Iterable[Result]) -> dict[str, list[str]]:
    """By entry, what each of its networks is, as rows name it: without the weights that it starts from."""
    found: dict[str, dict[int, str]] = {}
    for each in networks_of(results):
        if each.model and each.peer is not None:
            found.setdefault(row_of(each), {})[each.peer] = str(untrained(Spec.of(each.model)))
    return {entry: [models[peer] for peer in sorted(models)] for entry, models in found.items()}


class ClassGain(NamedTuple):
    """Of a class its name, its test examples, and how many of them networks recognise: trained alone, and these."""

    name: str
    n: int
    alone: float
    recall: float

    @property
    def gain(self) -> float:
        """Over training alone, a fraction."""
        return self.recall - self.alone


class ReliabilityBin(NamedTuple):
    """Decisions of about the same confidence: from, to, how many, mean confidence, and how many of them are right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


class Lessons(NamedTuple):
    """Of a row, who learns from whom: W[student][source]."""

    label: str
    weights: Sequence[Sequence[float]]


def class_gains(summary: Summary, evidence: Evidence) -> dict[str, list[ClassGain]]:
    """Of every row but the baselines the gain in recall, class by class: means over networks and seeds.

    Where networks differ, each row is compared with the networks of its own kind trained alone; a row whose kind is
    unknown is left out then.
    """
    recalls = {row.method: _recall(cohorts) for row in summary.rows if (cohorts := evidence.of(row))}
    found = {}
    for row in summary.rows:
        alone, own = recalls.get(_baseline(row, summary, evidence)), recalls.get(row.method)
        if row.alone or alone is None or own is None or not 1 < len(alone[0]) <= _MOST_CLASSES:
            continue
        counts, base = alone
        if torch.equal(own[0], counts):
            found[row.method] = [
                ClassGain(evidence.name(number), int(counts[number]), float(base[number]), float(own[1][number]))
                for number in counts.nonzero().flatten().tolist()
            ]
    return found


def _baseline(row: SummaryRow, summary: Summary, evidence: Evidence) -> str:
    """The row of networks of the same kind trained alone; empty where there are several and its kind is unknown."""
    alone = [each for each in summary.rows if each.alone]
    if len(alone) < 2:
        return summary.baseline
    kind = evidence.kind(row)
    return next((each.method for each in alone if kind and evidence.kind(each) == kind), "")


def _recall(cohorts: Cohorts) -> tuple[Tensor, Tensor]:
    """Of each class how many test examples of a training it has, and the share recognised; sums over all networks."""
    classes = 1 + max(int(max(each.labels.max(), each.classes.max())) for each in cohorts)
    right, seen = torch.zeros(classes, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64)
    for each in cohorts:
        counts = torch.bincount(each.labels.long(), minlength=classes).double()
        seen += len(each.classes) * counts
        for network in each.correct:
            right += torch.bincount(each.labels[network].long(), minlength=classes)
    return torch.bincount(cohorts[0].labels.long(), minlength=classes), right / seen.clamp(min=1)


def reliability(summary: Summary, evidence: Evidence) -> dict[str, list[ReliabilityBin]]:
    """Of every row whose confidences were kept, its bins; those that are empty are left out."""
    found = {}
    for row in summary.rows:
        kept = [each.bins for each in evidence.of(row) if each.bins is not None]
        if kept:
            total = sum(bins.double().sum(0) for bins in kept)
            assert isinstance(total, Tensor)
            found[row.method] = [
                _bin(number, len(total), *each) for number, each in enumerate(total.tolist()) if each[0]
            ]
    return found


def _bin(number: int, bins: int, n: float, confidence: float, right: float) -> ReliabilityBin:
    return ReliabilityBin(number / bins, (number + 1) / bins, round(n), confidence / n, right / n)


def disputed(summary: Summary, evidence: Evidence) -> list[Disputed]:
    """The test examples on which the peers of a cohort differ most, over all cohorts of mutual learning."""
    entries = dict.fromkeys(_entry(row) for row in summary.rows if is_mutual(row))
    return most_disputed(each for row in entries for each in evidence.decisions.get(row, ()))


def lessons_of(summary: Summary) -> list[Lessons]:
    """Of every row in which peers learn from one another by a fixed graph: its weights.

    Rows with the same weights stand together.
    """
    entries = {_entry(row): row for row in filter(is_mutual, summary.rows)}
    labels: dict[tuple[tuple[float, ...], ...], list[str]] = {}
    for entry, row in entries.items():
        try:
            weights = _graph(Spec.of(entry)).matrix(row.peers)
        except (ValueError, ImportError):  # the user's own method or graph, from a file that is not here
            continue
        if weights.count_nonzero():
            label = row.label.partition(" in ")[2] if " [" in row.method else row.label  # of a cohort, not of one kind
            labels.setdefault(tuple(map(tuple, weights.tolist())), []).append(label or row.label)
    return [Lessons("; ".join(names), weights) for weights, names in labels.items()]


def _entry(row: SummaryRow) -> str:
    """The entry of a row, which may be one kind of network of several."""
    return row.method.partition(" [")[0]


def _graph(spec: Spec) -> Graph:
    """Who learns from whom in a row, whose spec has settings of the run too."""
    taken = signature(methods.find(spec)).parameters
    options = {name: value for name, value in spec.options.items() if name in taken}
    return methods.get(Spec(spec.name, spec.args, options)).peer_graph
