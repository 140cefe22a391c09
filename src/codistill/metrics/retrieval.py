"""Retrieval: where in a gallery's ranking a query finds its own identity, seen by another camera."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

JUNK = -1
CHUNK = 256  # queries that are ranked at once
FORMS = ("mean", "trapezoid")


class Ranking(NamedTuple):
    """What `retrieval` gives.

    Attributes:
        cmc: ``[R]``, of each rank k the part of the queries with a hit among the first k.
        mean_ap: mean over the queries that have a match of the average precision in the form ``mean``.
        trapezoid: the same in the form ``trapezoid``.
        queries: how many these are.
    """

    cmc: Tensor
    mean_ap: float
    trapezoid: float
    queries: int


def average_precision(hits: Tensor, form: str = "mean") -> float:
    """Of one ranking, ``hits [G]`` in order, with at least one.

    Args:
        hits: whether each place holds a match.
        form: ``mean`` of the precisions at the hits (KaiyangZhou/deep-person-reid), or ``trapezoid``, each hit adding
            (P_old + P_new) / 2n as in Market-1501's own protocol (layumi/Person_reID_baseline_pytorch).

    Raises:
        ValueError: no hit; an unknown form.
    """
    if form not in FORMS:
        raise ValueError(f"form={form!r}: choose 'mean' or 'trapezoid'")
    if not hits.any():
        raise ValueError("hits hold no match: average precision needs one; leave such a query out")
    found = _scores(hits.unsqueeze(0), torch.ones_like(hits).unsqueeze(0))
    return float(found.mean if form == "mean" else found.trapezoid)


def retrieval(
    distances: Tensor | Iterable[Tensor],
    query: tuple[Tensor, Tensor],
    gallery: tuple[Tensor, Tensor],
    *,
    ranks: Sequence[int] = (1, 5, 10),
) -> Ranking:
    """CMC and mAP, each query by itself.

    Of each query's ranking the gallery's pictures of the same identity by the same camera are left out, and junk
    (identity -1); distractors (any identity that no query has) stay as misses. A query without a match is skipped,
    and the means are over the others (layumi's code divides by all).

    Args:
        distances: ``[Q, G]``, or the same in portions of some queries each, in order, as `distances` gives them;
            ties go to the lower number.
        query: identities and cameras ``[Q]``.
        gallery: identities and cameras ``[G]``.
        ranks: the k of CMC.

    Raises:
        ValueError: shapes that do not fit, a distance that is NaN, or no query that has a match.
    """
    found: list[_Scores] = []
    done, count = 0, len(query[0])
    for rows in torch.split(distances, CHUNK) if isinstance(distances, Tensor) else distances:
        part = slice(done, done + len(rows))
        if part.stop > count or rows.shape[1:] != gallery[0].shape:
            break
        done = part.stop
        found.append(_scores(*_ranked(rows, (query[0][part], query[1][part]), gallery)))
    if done != count or any(len(labels) != count for labels in query) or gallery[0].shape != gallery[1].shape:
        raise ValueError(
            f"distances do not fit {count} queries and a gallery of {len(gallery[0])}: give [Q, G], and an identity "
            "and a camera to each picture"
        )
    if not any(len(scores.first) for scores in found):
        raise ValueError("no query has a match in the gallery by another camera: check identities and cameras")
    first, mean, trapezoid = (torch.cat(values) for values in zip(*found, strict=True))
    cmc = torch.stack([(first < k).double().mean() for k in ranks])
    return Ranking(cmc, float(mean.mean()), float(trapezoid.mean()), len(first))


def _ranked(rows: Tensor, query: tuple[Tensor, Tensor], gallery: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Of each query's ranking ``[q, G]``: is it a match, and is it counted at all?"""
    if rows.isnan().any():
        raise ValueError("a distance is nan: check the features")
    order = rows.argsort(dim=1, stable=True)
    person, camera = (labels.unsqueeze(1) for labels in query)
    same = (gallery[0] == person) & (gallery[0] != JUNK)
    kept = (gallery[0] != JUNK) & ~(same & (gallery[1] == camera))
    return (same & kept).gather(1, order), kept.gather(1, order)


class _Scores(NamedTuple):
    """Of each query that has a match: the place of the first from 0, and average precision in both forms."""

    first: Tensor
    mean: Tensor
    trapezoid: Tensor


def _scores(hits: Tensor, kept: Tensor) -> _Scores:
    """From rankings ``[q, G]``. Only the few places that hold a match are looked at, on the CPU: its sums repeat."""
    place = (kept.cumsum(1) - 1)[hits].cpu().double()  # among those that count; query after query
    counts = hits.sum(1).cpu()
    counts = counts[counts > 0]
    row = torch.arange(len(counts)).repeat_interleave(counts)
    start = counts.cumsum(0) - counts
    before = (torch.arange(len(place)) - start[row]).double()
    new = (before + 1) / (place + 1)
    old = (before / place).where(place > 0, 1.0)

    def mean(values: Tensor) -> Tensor:
        return torch.zeros(len(counts), dtype=torch.float64).index_add_(0, row, values) / counts

    return _Scores(place[start], mean(new), mean((old + new) / 2))


def distances(query: Tensor, gallery: Tensor, chunk: int = CHUNK) -> Iterator[Tensor]:
    """Euclidean distances of L2-normalised features, which order as cosines do: ``[q, G]`` for q queries at a time.

    Args:
        query: features ``[Q, D]``.
        gallery: features ``[G, D]``.
        chunk: the most that q may be.

    Raises:
        ValueError: features of other shapes; `chunk` below 1.
    """
    if query.dim() != 2 or gallery.dim() != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(f"features {list(query.shape)} and {list(gallery.shape)} do not fit: give [Q, D] and [G, D]")
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: give 1 or more")
    others = F.normalize(gallery, dim=1).T
    for part in torch.split(F.normalize(query, dim=1), chunk):
        yield (2.0 - 2.0 * (part @ others)).clamp(min=0.0).sqrt()


def concatenated(features: Sequence[Tensor], normalised: bool = True) -> Tensor:
    """What an ensemble searches with: the features of every peer, one after the other, ``[N, D_1 + D_2 + ...]``.

    Zhang et al. 2018 concatenate the peers' pooled features; how they are scaled is not said.

    Args:
        features: of each peer, ``[N, D_i]``.
        normalised: each peer's to length 1 first, so that all count the same: the squared distance of two pictures is
            then the mean of the peers' squared distances (normalised again). Else as they are, so that a peer with
            long features counts more.
    """
    return torch.cat([F.normalize(f, dim=1) if normalised else f for f in features], dim=1)


def multi_query(features: Tensor, identity: Tensor, camera: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One query for each identity and camera, the mean of the (L2-normalised) features of its pictures.

    Args:
        features: of the queries, ``[Q, D]``.
        identity: ``[Q]``.
        camera: ``[Q]``.

    Returns: features, identities and cameras of the new queries, ordered by identity and camera.
    """
    both = torch.stack([identity, camera], dim=1)
    which, group, size = torch.unique(both, dim=0, return_inverse=True, return_counts=True)
    order, means, start = group.argsort(stable=True), [], 0
    for count in size.tolist():  # added up in order, so that a GPU gives the same sum each time
        means.append(F.normalize(features[order[start : start + count]], dim=1).mean(0))
        start += count
    return torch.stack(means), which[:, 0], which[:, 1]


__all__ = ["average_precision", "concatenated", "distances", "multi_query", "retrieval"]
