"""Who learns from whom: weights W[student, source], and the two verbs over them.

along:  sum over j of W_ij D(source_j, student_i); along_edges where more than two logits make D
blend:  sum over j of W_ij p_j
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.discovery import construct
from codistill.losses.average import average
from codistill.losses.divergence import Divergence, scale
from codistill.losses.posterior import full_precision, log_posterior
from codistill.spec import UnknownName

Rule = Callable[[int, int], Tensor]
FeatureLoss = Callable[..., Tensor]
MEANS = ("arithmetic", "geometric")


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
    w = torch.eye(sources, dtype=torch.float64)[(torch.arange(students) + 1) % sources]
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


# Along the edges ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _temperatures(
    temperature: Graph, graph: Graph, students: int, sources: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Those of the edges that weigh something, in their order."""
    i, j = graph.matrix(students, sources).nonzero(as_tuple=True)
    t = temperature.matrix(students, sources)[i, j]
    if not bool((t > 0).all()):
        raise ValueError(f"temperature has {t.min():g} on an edge that weighs something: give a number above 0 there")
    return t.to(device, dtype)


def same_classes(students: Tensor, sources: Tensor) -> None:
    """Raises a ValueError where students and what they imitate, logits both, have other classes."""
    if sources.shape[-1] != students.shape[-1]:
        raise ValueError(
            f"students have {students.shape[-1]} classes and their sources {sources.shape[-1]}: their predictions are "
            "compared, so build them for the same"
        )


def along(
    graph: Graph,
    divergence: Divergence,
    *,
    students: Tensor,
    sources: Tensor,
    of: Batch | None = None,
    temperature: float | Graph = 1.0,
    selected: Tensor | None = None,
) -> Tensor:
    """sum over j of W_ij T^2 D(source_j, student_i), mean over the samples of a batch.

    Args:
        graph: W.
        divergence: D. Where it is linear in the source (forward KL), P divergences are computed and not one per edge.
        students: logits ``[P, B, ..., C]`` of those who learn.
        sources: logits ``[Q, B, ..., C]`` of those who are imitated. Detach them: `Cohort.share` does.
        of: the batch, for its task and mask; None: classes, and all samples count.
        temperature: T, on both sides of every edge; or T_ij, a matrix of them as a `Graph` (see `matrix`).
        selected: ``[P, B]`` booleans; a sample that is not selected adds 0 to the mean.

    Returns: ``[P]``, nats.
    """
    same_classes(students, sources)
    task, mask = ("classes", None) if of is None else (of.task, of.mask)
    dtype = torch.promote_types(students.dtype, torch.float32)
    i, _, _ = edge_weights(graph, len(students), len(sources), dtype, students.device)
    if divergence.linear and not isinstance(temperature, Graph) and len(i) > len(students):
        return average(_from_blended(graph, students, sources, task, temperature), mask, selected)

    def value(i: Tensor, j: Tensor) -> Tensor:
        student, source = students[i], sources[j]
        if not isinstance(temperature, Graph):
            return divergence(students=student, sources=source, task=task, temperature=temperature)
        t = _temperatures(temperature, graph, len(students), len(sources), dtype, students.device)
        by = t.view(-1, *[1] * (student.dim() - 1))
        values = divergence(students=student / by, sources=source / by, task=task)
        return values * t.square().view(-1, *[1] * (values.dim() - 1))

    return along_edges(graph, value, students=students, sources=len(sources), mask=mask, selected=selected)


def _from_blended(graph: Graph, students: Tensor, sources: Tensor, task: str, temperature: float) -> Tensor:
    """sum over j of W_ij T^2 KL(p_j || p_i), each sample's, from the blended source; the value is the true one."""
    log_p = log_posterior(sources, task, temperature)
    p = log_p.exp()
    blended = mix(graph, p, len(students))
    # where: a class that nobody expects adds 0, not 0 * inf
    negative_entropy = mix(graph, (p * log_p.where(p != 0, p.new_zeros(()))).sum(-1), len(students))
    log_own = log_posterior(students, task, temperature)
    cross = -(blended * log_own.where(blended != 0, log_own.new_zeros(()))).sum(-1)
    return scale(negative_entropy + cross, task, temperature)


def along_edges(
    graph: Graph,
    value: Callable[[Tensor, Tensor], Tensor],
    *,
    students: Tensor,
    sources: int,
    mask: Tensor | None = None,
    selected: Tensor | None = None,
) -> Tensor:
    """sum over j of W_ij V(i, j), mean over samples: where V hangs on more than the logits at both ends of an edge.

    Args:
        graph: W.
        value: V(i, j) of the numbers of the edges' students and sources, ``[E]`` each, to ``[E, B, ...]``, or to
            ``[E, 1]`` where it is a mean already.
        students: anything ``[P, ...]`` of theirs.
        sources: how many there are.
        mask: ``[B, ...]`` or ``[P, B, ...]``, the samples that count.
        selected: ``[P, B]`` booleans; a sample that is not selected adds 0 to the mean.

    Returns: ``[P]``.
    """
    dtype = torch.promote_types(students.dtype, torch.float32)
    i, j, w = edge_weights(graph, len(students), sources, dtype, students.device)
    values = value(i, j)
    values = values * w.view(-1, *[1] * (values.dim() - 1))
    return average(values.new_zeros(len(students), *values.shape[1:]).index_add(0, i, values), mask, selected)


def along_features(
    graph: Graph,
    loss: FeatureLoss,
    *,
    students: Tensor | list[Tensor],
    sources: Tensor | list[Tensor],
    numbered: bool = False,
) -> Tensor:
    """sum over j of W_ij L(f_i, f_j) for features.

    Args:
        graph: W.
        loss: L(student, source) of ``[E, B, ...]`` each, one value for each of the E edges, mean over samples.
        students: ``[P, B, ...]``, or a list of P tensors ``[B, ...]`` where their shapes differ.
        sources: ``[Q, B, ...]`` or a list, detached.
        numbered: the loss has something of its own for every edge, and is called L(student, source, edge): edge is
            None where it is given all of `edges` at once (two tensors), else the number of the one.

    Returns: ``[P]``.
    """
    reference = students[0]
    i, j, w = edge_weights(graph, len(students), len(sources), reference.dtype, reference.device)
    if not len(i):
        values = w
    elif isinstance(students, Tensor) and isinstance(sources, Tensor):
        values = loss(students[i], sources[j], *((None,) if numbered else ()))
    else:
        pairs = enumerate(edges(graph, len(students), len(sources)))
        values = torch.cat(
            [loss(students[a][None], sources[b][None], *((e,) if numbered else ())) for e, (a, b) in pairs]
        )
    return values.new_zeros(len(students)).index_add(0, i, values * w)


# The mean of sources --------------------------------------------------------------------------------------------------


def mix(graph: Graph, values: Tensor, students: int) -> Tensor:
    """sum over j of W_ij values_j, block by block: ``[P_source, ...]`` -> ``[P_student, ...]``.

    Block by block and not with the whole matrix: 0 * nan is nan, and a peer that diverges is nobody else's affair.
    """
    w = block_weights(graph, students, len(values), values.dtype, values.device)
    mixed = w @ values.reshape(graph.blocks, len(values) // graph.blocks, -1)
    return mixed.reshape(-1, *values.shape[1:])


def blend(
    graph: Graph,
    *,
    logits: Tensor | None = None,
    posteriors: Tensor | None = None,
    students: int | None = None,
    task: str = "classes",
    temperature: float = 1.0,
    mean: str = "arithmetic",
) -> Tensor:
    """sum over j of W_ij p_j, as probabilities.

    Args:
        graph: W.
        logits: ``[Q, B, ..., C]``; made posteriors at ``temperature`` first. Or
        posteriors: probabilities, taken as they are (a temperature is never applied twice).
        students: P, where it is not Q.
        task: see `log_posterior`.
        temperature: T.
        mean: ``arithmetic``; or ``geometric``: s_i softmax(sum over j of W_ij z_j / (s_i T)) with s_i = sum over j of
            W_ij, from the weighted mean of the logits.

    Returns: ``[P, B, ..., C]`` (``[..., C, 2]`` for Bernoulli tasks); each sums to s_i.
    """
    if (logits is None) == (posteriors is None):
        raise ValueError("blend takes either logits= or posteriors=")
    if mean not in MEANS:
        raise UnknownName("mean", mean, MEANS)
    if mean == "geometric":
        if logits is None:
            raise ValueError("mean='geometric' is of logits: give logits=")
        z = full_precision(logits)
        z = z.clamp(min=torch.finfo(z.dtype).min)  # a class that is excluded: 0 * -inf is nan
        total = mix(graph, z.new_ones(len(z)), students or len(z))
        total = total.view(-1, *[1] * (z.dim() - 1))
        p = log_posterior(mix(graph, z, students or len(z)) / total.where(total > 0, 1.0), task, temperature).exp()
        return p * total.view(-1, *[1] * (p.dim() - 1))
    if posteriors is None:
        posteriors = log_posterior(logits, task, temperature).exp()  # type: ignore[arg-type]
    return mix(graph, posteriors, students or len(posteriors))


__all__ = ["complete", "everyone", "none", "own", "ring", "star"]  # what a spec may name
