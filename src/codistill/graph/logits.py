"""sum over j of W_ij D(source_j, student_i): what students lose on their edges."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.graph.mixture import mix
from codistill.graph.weights import Graph, edge_weights
from codistill.losses.average import average
from codistill.losses.divergence import Divergence, scale
from codistill.losses.posterior import log_posterior


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
    edges, _, _ = edge_weights(graph, len(students), len(sources), dtype, students.device)
    if divergence.linear and not isinstance(temperature, Graph) and len(edges) > len(students):
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
