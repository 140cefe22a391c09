"""Retrieval: where in a gallery's ranking a query finds its own identity, seen by another camera."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

JUNK = -1


class Ranking(NamedTuple):
    """What `retrieval` gives.

    Attributes:
        cmc: ``[R]``, of each rank k the part of the queries with a hit among the first k.
        mean_ap: mean average precision over the queries that have a match.
        queries: how many these are.
    """

    cmc: Tensor
    mean_ap: float
    queries: int


def average_precision(hits: Tensor, form: str = "mean") -> float:
    """Of one ranking, ``hits [G]`` in order, with at least one.

    Args:
        hits: whether each place holds a match.
        form: ``mean`` of the precisions at the hits (KaiyangZhou/deep-person-reid), or ``trapezoid``, each hit adding
            (P_old + P_new) / 2n as in Market-1501's own protocol (layumi/Person_reID_baseline_pytorch).
    """
    places = hits.nonzero().flatten().double()
    before = torch.arange(len(places), dtype=torch.float64)
    new = (before + 1) / (places + 1)
    if form == "mean":
        return float(new.mean())
    if form != "trapezoid":
        raise ValueError(f"form={form!r}: choose 'mean' or 'trapezoid'")
    old = torch.where(places == 0, 1.0, before / places.clamp(min=1))
    return float(((old + new) / 2).mean())


def retrieval(
    distances: Tensor,
    query: tuple[Tensor, Tensor],
    gallery: tuple[Tensor, Tensor],
    *,
    ranks: Sequence[int] = (1, 5, 10),
    form: str = "mean",
) -> Ranking:
    """CMC and mAP with one query at a time.

    Of each query's ranking the gallery's pictures of the same identity by the same camera are left out, and junk
    (identity -1); distractors (any identity that no query has) stay as misses. A query without a match is skipped.

    Args:
        distances: ``[Q, G]``; ties go to the lower number.
        query: identities and cameras ``[Q]``.
        gallery: identities and cameras ``[G]``.
        ranks: the k of CMC.
        form: of `average_precision`.

    Raises:
        ValueError: no query has a match.
    """
    first, precisions = [], []
    for row, person, camera in zip(distances, query[0].tolist(), query[1].tolist(), strict=True):
        order = row.argsort(stable=True)
        persons, cameras = gallery[0][order], gallery[1][order]
        kept = (persons != JUNK) & ~((persons == person) & (cameras == camera))
        hits = (persons == person)[kept]
        if person != JUNK and hits.any():
            first.append(int(hits.nonzero()[0]))
            precisions.append(average_precision(hits, form))
    if not first:
        raise ValueError("no query has a match in the gallery by another camera: check identities and cameras")
    places = torch.tensor(first)
    cmc = torch.stack([(places < k).double().mean() for k in ranks])
    return Ranking(cmc, sum(precisions) / len(precisions), len(first))


__all__ = ["average_precision", "retrieval"]
