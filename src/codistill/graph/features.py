"""sum over j of W_ij L(f_i, f_j): what students lose on features."""

from collections.abc import Callable

import torch
from torch import Tensor

from codistill.graph.weights import Graph, edge_weights, edges

FeatureLoss = Callable[..., Tensor]


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
