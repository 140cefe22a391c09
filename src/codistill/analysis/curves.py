"""The curve of every divergence in a run's log: what one peer, or one edge, learns from, beside its task term."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from codistill import methods
from codistill.graph import named
from codistill.spec import Spec

Matrix = list[list[float]]


@dataclass(frozen=True)
class EpochLine:
    """One run's epoch, from ``log.jsonl``.

    Attributes:
        run: its name.
        method: its method, or row; the run's name where the line does not say.
        seed: of the run.
        epoch: from 1.
        terms: of each term its values, one for each peer, or one for all.
        edges: KL(p_j || p_i) at T = 1 at [student i, source j], in nats; empty where it was not measured.
        agree: share of samples on which two peers choose the same class; empty where it was not measured.
    """

    run: str
    method: str
    seed: int | None
    epoch: int
    terms: dict[str, list[float]]
    edges: Matrix = field(default_factory=list)
    agree: Matrix = field(default_factory=list)

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> "EpochLine":
        """From a line whose ``kind`` is ``epoch``."""
        run = str(line.get("run"))
        terms = {name: v if isinstance(v, list) else [v] for name, v in line.get("terms", {}).items()}
        method = str(line.get("method") or run)
        return cls(
            run, method, line.get("seed"), int(line["epoch"]), terms, line.get("edges", []), line.get("agree", [])
        )

    @property
    def task(self) -> list[float]:
        """The task term of each peer."""
        return self.terms.get("task", [])

    @cached_property
    def imitation(self) -> dict[str, list[float]]:
        """The terms that peers learn from besides the labels: one finite number for each peer, and not all below 0."""
        peers = len(self.task)
        return {
            name: list(map(float, values))
            for name, values in self.terms.items()
            # a divergence is never below 0
            if name != "task" and peers and len(values) == peers and finite(values) and max(values) >= 0
        }


def epoch_lines(lines: Iterable[Mapping[str, Any]]) -> list[EpochLine]:
    """The epochs in a log; its other lines are passed over."""
    return [EpochLine.from_json(line) for line in lines if line.get("kind") == "epoch"]


class Curve(NamedTuple):
    """One peer's (or edge's) divergence beside its task term, epoch by epoch."""

    who: str
    student: int
    epochs: list[int]
    task: list[float]
    value: list[float]
    source: int | None = None

    @classmethod
    def of(cls, lines: Sequence[EpochLine], value: Iterable[float], student: int, source: int | None = None) -> "Curve":
        """The curve of a student, from the lines of its epochs and its value in each."""
        who = f"peer {student}" + ("" if source is None else f" from peer {source}")
        task = [float(line.task[student]) for line in lines]
        return cls(who, student, [line.epoch for line in lines], task, list(map(float, value)), source)

    @property
    def ratios(self) -> list[float]:
        """The divergence divided by the task term, in each epoch."""
        return [ratio(value, task) for value, task in zip(self.value, self.task, strict=True)]


def ratio(value: float, task: float) -> float:
    """A term divided by the task's; infinite beside a task term of 0."""
    return value / task if task > 0 else math.inf if value > 0 else 0.0


def finite(values: Sequence[Any]) -> bool:
    """Are all of them finite numbers?"""
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)


def term_curves(run: Sequence[EpochLine]) -> dict[str, list[Curve]]:
    """The curves of every imitation term; one that is below 0 in places is a penalty of another kind."""
    curves = {}
    for name in dict.fromkeys(name for line in run for name in line.imitation):
        lines = [line for line in run if name in line.imitation]
        by_peer = list(zip(*(line.imitation[name] for line in lines), strict=True))
        if min(map(min, by_peer)) >= 0:
            curves[name] = [Curve.of(lines, values, peer) for peer, values in enumerate(by_peer)]
    return curves


def edge_curves(run: Sequence[EpochLine]) -> list[Curve]:
    """The curve of every edge of the method's graph."""
    lines = [line for line in run if line.edges]
    edges = _edges_of(lines[0].method, len(lines[0].edges)) if lines else []
    return [Curve.of(lines, [line.edges[i][j] for line in lines], i, j) for i, j in edges]


def _edges_of(method: str, peers: int) -> list[tuple[int, int]]:
    """Student and source of every edge, as far as the method's spec says; none where peers learn from a teacher."""
    every = [(i, j) for i in range(peers) for j in range(peers) if i != j]
    try:
        if not methods.is_mutual(method):
            return []
        weights = named(str(Spec.of(method).options.get("graph") or "complete")).matrix(peers)
    except (ValueError, ImportError):
        return every
    return [(i, j) for i, j in every if weights[i, j]]
