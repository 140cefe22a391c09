"""Retrieval: where in a gallery's ranking a query finds its own identity, seen by another camera."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from codistill.metrics import Metric

JUNK = -1
CHUNK = 256  # queries that are ranked at once
RANKS = (1, 5, 10)
Labels = tuple[Tensor, Tensor]  # identities and cameras


class Ranking(NamedTuple):
    """What `retrieval` gives.

    Attributes:
        cmc: ``[R]``, for each rank k the fraction of the queries with a match among the first k.
        mean_ap: mean over the queries of their average precision, the mean of the precisions at the matches
            (KaiyangZhou/deep-person-reid).
        trapezoid: the same with each match adding (P_old + P_new) / 2n, as in Market-1501's own protocol
            (layumi/Person_reID_baseline_pytorch).
        queries: how many have a match; the means are over these.
    """

    cmc: Tensor
    mean_ap: float
    trapezoid: float
    queries: int


def retrieval(
    distances: Tensor | Iterable[Tensor],
    query: Labels,
    gallery: Labels,
    *,
    ranks: Sequence[int] = RANKS,
) -> Ranking:
    """CMC and mAP over the queries.

    From each query's ranking the gallery's images of the same identity by the same camera are left out, and junk
    (identity -1); distractors (any identity that no query has) stay as misses. A query without a match is skipped,
    and the means are over the others (layumi's code divides by all).

    Args:
        distances: ``[Q, G]``, or the same in chunks of some queries each, in order, as `distances` gives them;
            ties go to the lower index.
        query: identities and cameras ``[Q]``.
        gallery: identities and cameras ``[G]``.
        ranks: the k of CMC.

    Raises:
        ValueError: shapes that do not fit, a distance that is NaN, or no query that has a match.
    """
    chunks = torch.split(distances, CHUNK) if isinstance(distances, Tensor) else distances
    scores = [_scores(*_ranked(rows, each, gallery)) for rows, each in _with_labels(chunks, query, gallery)]
    if not any(len(first) for first, _, _ in scores):
        raise ValueError("no query has a match in the gallery by another camera: check identities and cameras")
    first, mean, trapezoid = (torch.cat(values) for values in zip(*scores, strict=True))
    cmc = torch.stack([(first < k).double().mean() for k in ranks])
    return Ranking(cmc, float(mean.mean()), float(trapezoid.mean()), len(first))


def _with_labels(chunks: Iterable[Tensor], query: Labels, gallery: Labels) -> Iterator[tuple[Tensor, Labels]]:
    """Each chunk of distances, and the labels of its queries."""
    done, count = 0, len(query[0])
    for rows in chunks:
        chunk = slice(done, done + len(rows))
        if chunk.stop > count or rows.shape[1:] != gallery[0].shape:
            break
        done = chunk.stop
        yield rows, (query[0][chunk], query[1][chunk])
    if done != count or len(query[1]) != count or gallery[0].shape != gallery[1].shape:
        raise ValueError(
            f"distances do not fit {count} queries and a gallery of {len(gallery[0])}: give [Q, G], and an identity "
            "and a camera to each image"
        )


def _ranked(rows: Tensor, query: Labels, gallery: Labels) -> tuple[Tensor, Tensor]:
    """Each query's ranking ``[q, G]``: which entries are matches, and which count at all."""
    if rows.isnan().any():
        raise ValueError("a distance is nan: check the features")
    order = rows.argsort(dim=1, stable=True)
    identity, camera = (labels.unsqueeze(1) for labels in query)
    same = (gallery[0] == identity) & (gallery[0] != JUNK)
    counted = (gallery[0] != JUNK) & ~(same & (gallery[1] == camera))
    return (same & counted).gather(1, order), counted.gather(1, order)


def _scores(matches: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each query that has a match: the rank of the first one (from 0), and average precision in both forms.

    From rankings ``[q, G]``. Only the few ranks that hold a match are read, on the CPU: its sums repeat.
    """
    rank = (counted.cumsum(1) - 1)[matches].cpu().double()  # among those that count; query after query
    counts = matches.sum(1).cpu()
    counts = counts[counts > 0]
    row = torch.arange(len(counts)).repeat_interleave(counts)
    start = counts.cumsum(0) - counts
    before = (torch.arange(len(rank)) - start[row]).double()
    new = (before + 1) / (rank + 1)
    old = (before / rank).where(rank > 0, 1.0)

    def mean(values: Tensor) -> Tensor:
        return torch.zeros(len(counts), dtype=torch.float64).index_add_(0, row, values) / counts

    return rank[start], mean(new), mean((old + new) / 2)


def distances(query: Tensor, gallery: Tensor, chunk: int = CHUNK) -> Iterator[Tensor]:
    """Euclidean distances of L2-normalised embeddings, which order as cosines do: ``[q, G]`` for q queries at a time.

    Args:
        query: embeddings ``[Q, D]``.
        gallery: embeddings ``[G, D]``.
        chunk: the most that q may be.

    Raises:
        ValueError: embeddings of other shapes; `chunk` below 1.
    """
    if query.dim() != 2 or gallery.dim() != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(f"embeddings {list(query.shape)} and {list(gallery.shape)} do not fit: give [Q, D] and [G, D]")
    if chunk < 1:
        raise ValueError(f"chunk={chunk}: give 1 or more")
    gallery_t = F.normalize(gallery, dim=1).T
    for queries in torch.split(F.normalize(query, dim=1), chunk):
        yield (2.0 - 2.0 * (queries @ gallery_t)).clamp(min=0.0).sqrt()


def concatenated(embeddings: Sequence[Tensor], normalised: bool = True) -> Tensor:
    """An ensemble's embedding: those of its peers one after the other, ``[N, D_1 + D_2 + ...]``.

    Zhang et al. 2018 concatenate the peers' pooled features and do not say how they are scaled.

    Args:
        embeddings: of each peer, ``[N, D_i]``.
        normalised: each peer's to length 1 first, so that all count the same: the squared distance of two images is
            then the mean of the peers' squared distances (normalised again). Else as they are, so that a peer with
            long embeddings counts more.
    """
    return torch.cat([F.normalize(e, dim=1) if normalised else e for e in embeddings], dim=1)


def multi_query(embeddings: Tensor, identity: Tensor, camera: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One query for each identity and camera, the mean of the (L2-normalised) embeddings of its images.

    Args:
        embeddings: of the queries, ``[Q, D]``.
        identity: ``[Q]``.
        camera: ``[Q]``.

    Returns: embeddings, identities and cameras of the new queries, ordered by identity and camera.
    """
    pairs = torch.stack([identity, camera], dim=1)
    distinct, group, size = torch.unique(pairs, dim=0, return_inverse=True, return_counts=True)
    groups = torch.split(embeddings[group.argsort(stable=True)], size.tolist())
    # added up in order, so that a GPU gives the same sum each time
    means = torch.stack([F.normalize(images, dim=1).mean(0) for images in groups])
    return means, distinct[:, 0], distinct[:, 1]


def _cmc(k: int) -> Callable[[Ranking], float]:
    return lambda ranking: float(ranking.cmc[RANKS.index(k)])


_single = partial(Metric, better="higher", tables="retrieval", source="ranking")
_averaged = partial(Metric, better="higher", tables="retrieval", source="multi_query")
METRICS = (
    _single("map", attrgetter("mean_ap"), 0, "mean over queries of the mean precision at the matches", title="mAP"),
    _single("map_trapezoid", attrgetter("trapezoid"), 100, "as Market-1501's own program computes it", tables=""),
    _averaged("map_multi", attrgetter("mean_ap"), 110, "`map` of averaged queries", title="multi-query mAP"),
    *(
        _single(f"cmc{k}", _cmc(k), order, f"fraction of queries with a match in the top {k}", title=f"rank-{k}")
        for k, order in zip(RANKS, (120, 130, 140), strict=True)
    ),
    _single("queries", attrgetter("queries"), 150, "how many have a match", unit="count", better="", tables=""),
    _averaged("cmc1_multi", _cmc(1), 160, "`cmc1` of averaged queries", tables=""),
)
