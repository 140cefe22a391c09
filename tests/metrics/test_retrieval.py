"""CMC and AP: METHODS I 11, a toy ranking with junk, both forms of AP; the fast way against a loop over images."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import average_precision_score

from codistill.metrics.retrieval import concatenated, distances, multi_query, retrieval

# In order of distance: junk, the same image's camera, a miss, a hit, a distractor, a hit.
PERSONS = torch.tensor([-1, 7, 3, 7, 0, 7])
CAMERAS = torch.tensor([2, 1, 2, 2, 3, 3])
QUERY = torch.tensor([7]), torch.tensor([1])
DISTANCES = torch.arange(6.0).unsqueeze(0)


def test_a_toy_ranking_by_hand():
    # What is left: miss, hit, miss (the distractor), hit. Precisions at the hits 1/2 and 2/4.
    got = retrieval(DISTANCES, QUERY, (PERSONS, CAMERAS), ranks=(1, 2, 4))
    assert got.cmc.tolist() == [0.0, 1.0, 1.0]
    assert got.mean_ap == pytest.approx((1 / 2 + 2 / 4) / 2)
    # Trapezoid: (0/1 + 1/2) / 2 and (1/3 + 2/4) / 2, over 2.
    assert got.trapezoid == pytest.approx(((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2)


def ranking_of(hits):
    """Of one query whose ranking has matches at these ranks."""
    identity = torch.tensor([7 if hit else 3 for hit in hits])
    gallery = identity, torch.full_like(identity, 2)
    return retrieval(torch.arange(float(len(hits))).unsqueeze(0), QUERY, gallery)


def test_a_match_at_the_first_rank_counts_fully_in_both_forms():
    got = ranking_of([True, False])
    assert got.mean_ap == got.trapezoid == 1.0


def test_a_query_without_a_match_is_skipped_and_counted():
    query = torch.tensor([7, 9, -1]), torch.tensor([1, 1, 1])
    assert retrieval(DISTANCES.expand(3, -1), query, (PERSONS, CAMERAS)).queries == 1
    with pytest.raises(ValueError, match="no query has a match"):
        retrieval(DISTANCES, (torch.tensor([9]), torch.tensor([1])), (PERSONS, CAMERAS))
    nobody = torch.tensor([], dtype=torch.long)
    with pytest.raises(ValueError, match="no query has a match"):
        retrieval(DISTANCES[:0], (nobody, nobody), (PERSONS, CAMERAS))


def naive(hits, form):
    n, total, seen = sum(hits), 0.0, 0
    for place, hit in enumerate(hits):
        if hit:
            old = 1.0 if place == 0 else seen / place
            seen += 1
            new = seen / (place + 1)
            total += new if form == "mean" else (old + new) / 2
    return total / n


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.booleans(), min_size=1, max_size=12).filter(any), st.sampled_from(["mean", "trapezoid"]))
def test_average_precision_is_the_naive_one(hits, form):
    got = ranking_of(hits)
    assert (got.mean_ap if form == "mean" else got.trapezoid) == pytest.approx(naive(hits, form))
    if form == "mean":  # without ties scikit-learn's is the same sum
        assert naive(hits, form) == pytest.approx(average_precision_score(hits, [-i for i in range(len(hits))]))


def one_by_one(rows, query, gallery, ranks):
    """Retrieval as a loop over queries and images."""
    first, means, trapezoids = [], [], []
    for distance, person, camera in zip(rows.tolist(), query[0].tolist(), query[1].tolist(), strict=True):
        hits = []
        for image in sorted(range(len(distance)), key=lambda i: (distance[i], i)):
            other, by = gallery[0][image].item(), gallery[1][image].item()
            if other != -1 and not (other == person and by == camera):
                hits.append(other == person)
        if person != -1 and any(hits):
            first.append(hits.index(True))
            means.append(naive(hits, "mean"))
            trapezoids.append(naive(hits, "trapezoid"))
    n = len(first)
    return [sum(f < k for f in first) / n for k in ranks], sum(means) / n, sum(trapezoids) / n, n


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("portion", [None, 1, 7])
def test_the_fast_way_is_the_loop_over_images(seed, portion):
    source = torch.Generator().manual_seed(seed)
    query = torch.randint(-1, 6, (20,), generator=source), torch.randint(3, (20,), generator=source)
    gallery = torch.randint(-1, 8, (30,), generator=source), torch.randint(3, (30,), generator=source)
    rows = torch.randint(12, (20, 30), generator=source).float()  # with ties
    given = rows if portion is None else iter(rows.split(portion))
    got = retrieval(given, query, gallery, ranks=(1, 3, 5))
    cmc, mean, trapezoid, n = one_by_one(rows, query, gallery, (1, 3, 5))
    assert got.cmc.tolist() == pytest.approx(cmc)
    assert (got.mean_ap, got.trapezoid, got.queries) == pytest.approx((mean, trapezoid, n))


def test_distances_are_those_of_normalised_features():
    source = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(7, 5, generator=source), 9.0 * torch.randn(11, 5, generator=source)
    got = torch.cat(list(distances(query, gallery, chunk=3)))
    for i in range(7):
        for j in range(11):
            a, b = query[i] / query[i].norm(), gallery[j] / gallery[j].norm()
            assert got[i, j].item() == pytest.approx((a - b).norm().item(), abs=1e-4)
    assert [len(part) for part in distances(query, gallery, chunk=3)] == [3, 3, 1]
    assert not torch.cat(list(distances(query, query))).isnan().any()  # rounding goes not below zero
    cosine = torch.nn.functional.cosine_similarity(query.unsqueeze(1), gallery.unsqueeze(0), dim=-1)
    assert torch.equal(got.argsort(1), (-cosine).argsort(1))


def test_side_by_side_every_peer_counts_the_same_unless_asked_otherwise():
    source = torch.Generator().manual_seed(1)
    one, two = torch.randn(6, 4, generator=source), 100.0 * torch.randn(6, 3, generator=source)
    both = concatenated([one, two])
    assert both.shape == (6, 7)
    squared = [torch.cat(list(distances(f, f))).square() for f in (one, two, both)]
    torch.testing.assert_close(squared[2], (squared[0] + squared[1]) / 2, atol=1e-5, rtol=0)
    raw = concatenated([one, two], normalised=False)
    assert torch.equal(raw, torch.cat([one, two], 1))
    by_long = torch.cat(list(distances(raw, raw))).square()
    torch.testing.assert_close(by_long, squared[1], atol=0.02, rtol=0)  # the long features say it all


def test_several_queries_of_one_identity_and_camera_become_their_mean():
    features = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 5.0]])
    identity, camera = torch.tensor([4, 2, 4, 4]), torch.tensor([1, 1, 2, 1])
    got, persons, cameras = multi_query(features, identity, camera)
    assert list(zip(persons.tolist(), cameras.tolist(), strict=True)) == [(2, 1), (4, 1), (4, 2)]
    # Of length 1 first: neither image counts more for its length.
    assert got.tolist() == [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="do not fit 1 queries and a gallery of 6"):
        retrieval(DISTANCES.expand(2, -1), QUERY, (PERSONS, CAMERAS))
    with pytest.raises(ValueError, match="do not fit 1 queries and a gallery of 6"):
        retrieval(DISTANCES[:, :5], QUERY, (PERSONS, CAMERAS))
    with pytest.raises(ValueError, match="nan: check the features"):
        retrieval(DISTANCES * torch.nan, QUERY, (PERSONS, CAMERAS))
    with pytest.raises(ValueError, match=r"give \[Q, D\] and \[G, D\]"):
        next(distances(torch.zeros(2, 3), torch.zeros(2, 4)))
    with pytest.raises(ValueError, match="chunk=0: give 1 or more"):
        next(distances(torch.zeros(2, 3), torch.zeros(2, 3), chunk=0))
