"""The course of every divergence in a run: one peer's imitation, or one edge's, beside the task term, by epoch."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from codistill import methods
from codistill.graph import named
from codistill.spec import Spec

Line = dict[str, Any]


class Course(NamedTuple):
    """One peer's (or edge's) divergence beside its task term, epoch by epoch."""

    who: str
    student: int
    epochs: list[int]
    task: list[float]
    value: list[float]
    source: int | None = None


def imitation(line: Line) -> dict[str, list[float]]:
    """The terms of a line that peers learn from besides the labels: one number for each peer, and not all below 0."""
    terms = line.get("terms") or {}
    peers = len(terms.get("task") or ())
    found = {
        name: [float(v) for v in values]
        for name, values in terms.items()
        if name != "task" and isinstance(values, list) and peers and len(values) == peers and numbers(values)
    }
    return {name: values for name, values in found.items() if max(values) >= 0}  # a divergence is never below it


def numbers(values: Sequence[Any]) -> bool:
    """Are all of them finite numbers?"""
    return all(isinstance(v, int | float) and math.isfinite(v) for v in values)


def term_courses(run: list[Line]) -> dict[str, list[Course]]:
    """The courses of every imitation term; one that is nowhere above 0 is a penalty of another kind."""
    names = dict.fromkeys(name for line in run for name in imitation(line))
    found = {}
    for name in names:
        lines = [line for line in run if name in imitation(line)]
        values = [imitation(line)[name] for line in lines]
        if any(v < 0 for row in values for v in row):
            continue
        epochs = [int(line["epoch"]) for line in lines]
        tasks = [line["terms"]["task"] for line in lines]
        found[name] = [
            Course(f"peer {i}", i, epochs, [float(t[i]) for t in tasks], [row[i] for row in values])
            for i in range(len(values[0]))
        ]
    return found


def edge_courses(run: list[Line]) -> list[Course]:
    """The course of every edge that the method's graph has."""
    lines = [line for line in run if line.get("edges")]
    if not lines:
        return []
    peers = len(lines[0]["edges"])
    epochs = [int(line["epoch"]) for line in lines]
    return [
        Course(
            f"peer {i} from peer {j}",
            i,
            epochs,
            [float(line["terms"]["task"][i]) for line in lines],
            [float(line["edges"][i][j]) for line in lines],
            j,
        )
        for i, j in _joined(str(lines[0].get("method")), peers)
    ]


def _joined(method: str, peers: int) -> list[tuple[int, int]]:
    """Student and source of every edge, as far as the method's spec says; none where peers learn from a teacher."""
    every = [(i, j) for i in range(peers) for j in range(peers) if i != j]
    try:
        if not methods.is_mutual(method):
            return []
        graph = Spec.of(method).options.get("graph")
        weights = named(str(graph)).matrix(peers) if graph is not None else None
    except (ValueError, ImportError):
        return every
    return every if weights is None else [(i, j) for i, j in every if weights[i, j]]


__all__ = ["Course", "Line", "edge_courses", "imitation", "numbers", "term_courses"]
