"""Who learns from whom: weights W[student, source]."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from codistill.discovery import construct

Rule = Callable[[int, int], Tensor]


@dataclass(frozen=True)
class Graph:
    """Weights ``W[student, source]``, known once the numbers of students and sources are.

    ``blocks`` independent copies stand side by side: peers 0..p-1 are the first, p..2p-1 the second, and nothing
    crosses between them. So one cohort may hold the same experiment for many seeds.
    """

    rule: Rule
    name: str
    blocks: int = 1

    def repeat(self, blocks: int) -> "Graph":
        """This graph for each of so many blocks of peers."""
        return replace(self, blocks=self.blocks * blocks)

    def block(self, students: int, sources: int) -> Tensor:
        """W of one block, ``[students / blocks, sources / blocks]``."""
        if students % self.blocks or sources % self.blocks:
            raise ValueError(
                f"graph {self.name!r} has {self.blocks} blocks, which {students} students and {sources} sources "
                "do not fill evenly"
            )
        return self.rule(students // self.blocks, sources // self.blocks)

    def matrix(self, students: int, sources: int | None = None) -> Tensor:
        """The whole W, ``[students, sources]``."""
        sources = students if sources is None else sources
        w = self.block(students, sources)
        return torch.kron(torch.eye(self.blocks, dtype=w.dtype), w)


def _complete(students: int, sources: int, total: str) -> Tensor:
    w = torch.ones(students, sources, dtype=torch.float64).fill_diagonal_(0.0)
    return w / w.sum(1, keepdim=True).clamp(min=1.0) if total == "mean" else w


def _ring(students: int, sources: int) -> Tensor:
    w = torch.zeros(students, sources, dtype=torch.float64)
    for i in range(students):
        w[i, (i + 1) % sources] = 1.0
    return w if sources > 1 else w.zero_()


def _star(students: int, sources: int) -> Tensor:
    w = torch.zeros(students, sources, dtype=torch.float64)
    w[1:, 0] = 1.0
    w[0, 1:] = 1.0 / max(sources - 1, 1)
    return w


def _given(students: int, sources: int, rows: tuple[tuple[float, ...], ...], of: str) -> Tensor:
    w = torch.tensor(rows, dtype=torch.float64)
    if w.shape != (students, sources):
        raise ValueError(f"the {of}'s matrix is {tuple(w.shape)}, the cohort needs ({students}, {sources})")
    return w


def complete(total: str = "mean") -> Graph:
    """Everybody from everybody else: W_ij = 1/(P-1), the paper's; ``total="sum"``: W_ij = 1, the released code's."""
    if total not in ("mean", "sum"):
        raise ValueError(f"total={total!r}: choose 'mean' (the paper) or 'sum' (the released code)")
    return Graph(partial(_complete, total=total), "complete")


def ring() -> Graph:
    """Each from the next: W[i, i+1] = 1. Between students and as many teachers: nobody from its own number."""
    return Graph(_ring, "ring")


def star() -> Graph:
    """All from peer 0, and peer 0 from the mean of the others."""
    return Graph(_star, "star")


def own() -> Graph:
    """Each from the source of its own number: a past self."""
    return Graph(torch.eye, "own")


def none() -> Graph:
    """Nobody from anybody: independent networks."""
    return Graph(partial(torch.zeros, dtype=torch.float64), "none")


def everyone() -> Graph:
    """Each from the mean of all sources, its own number included: the graph from frozen teachers."""
    return Graph(
        lambda students, sources: torch.full((students, sources), 1.0 / sources, dtype=torch.float64), "everyone"
    )


def matrix(rows: Sequence[Sequence[float]], of: str = "graph") -> Graph:
    """The weights themselves, ``rows[student][source]``; or whatever else edges have, said in ``of``.

    Raises:
        ValueError: rows of different length, or entries that are not numbers.
    """
    try:
        given = tuple(tuple(map(float, row)) for row in rows)
    except (TypeError, ValueError):
        given = ()
    if not given or len({len(row) for row in given}) > 1:
        raise ValueError(f"{of}={rows!r}: give a row of numbers for each student, one for each source")
    return Graph(partial(_given, rows=given, of=of), "matrix")


def named(graph: str | Graph | Sequence[Sequence[float]]) -> Graph:
    """A graph from its spec, its matrix, or itself."""
    if isinstance(graph, Graph):
        return graph
    if not isinstance(graph, str):
        return matrix(graph)
    built: Graph = construct("codistill.graph", graph)
    return built


@lru_cache(maxsize=64)
def block_weights(graph: Graph, students: int, sources: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """W of one block, on its device."""
    return graph.block(students, sources).to(device, dtype)


@lru_cache(maxsize=64)
def edge_weights(
    graph: Graph, students: int, sources: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Students, sources and weights of the edges that weigh something."""
    w = graph.matrix(students, sources)
    i, j = w.nonzero(as_tuple=True)
    return i.to(device), j.to(device), w[i, j].to(device, dtype)


@lru_cache(maxsize=64)
def edges(graph: Graph, students: int, sources: int) -> tuple[tuple[int, int], ...]:
    """Student and source of every edge that weighs something, in the order in which `along_features` has them."""
    return tuple((i, j) for i, j in graph.matrix(students, sources).nonzero().tolist())


__all__ = ["complete", "everyone", "none", "own", "ring", "star"]  # what a spec may name
