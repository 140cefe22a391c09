"""sum over j of W_ij p_j: what students are to imitate, in one."""

import torch
from torch import Tensor

from codistill.graph.weights import Graph, block_weights
from codistill.losses.posterior import full_precision, log_posterior
from codistill.spec import UnknownName

MEANS = ("arithmetic", "geometric")


def mix(graph: Graph, values: Tensor, students: int) -> Tensor:
    """sum over j of W_ij values_j, block by block: ``[P_source, ...]`` -> ``[P_student, ...]``.

    Block by block and not with the whole matrix: 0 * nan is nan, and a peer that diverges is nobody else's affair.
    """
    w = block_weights(graph, students, len(values), values.dtype, values.device)
    mixed = torch.einsum("pq,nq...->np...", w, values.reshape(graph.blocks, -1, *values.shape[1:]))
    return mixed.flatten(0, 1)


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
