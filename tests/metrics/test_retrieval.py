"""CMC and AP: METHODS I 11, a toy ranking with junk, both forms of AP."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codistill.metrics.retrieval import average_precision, retrieval

# In order of distance: junk, the same picture's camera, a miss, a hit, a distractor, a hit.
PERSONS = torch.tensor([-1, 7, 3, 7, 0, 7])
CAMERAS = torch.tensor([2, 1, 2, 2, 3, 3])
QUERY = torch.tensor([7]), torch.tensor([1])
DISTANCES = torch.arange(6.0).unsqueeze(0)


def test_a_toy_ranking_by_hand():
    # What is left: miss, hit, miss (the distractor), hit. Precisions at the hits 1/2 and 2/4.
    found = retrieval(DISTANCES, QUERY, (PERSONS, CAMERAS), ranks=(1, 2, 4))
    assert found.cmc.tolist() == [0.0, 1.0, 1.0]
    assert found.mean_ap == pytest.approx((1 / 2 + 2 / 4) / 2)
    # Trapezoid: (0/1 + 1/2) / 2 and (1/3 + 2/4) / 2, over 2.
    found = retrieval(DISTANCES, QUERY, (PERSONS, CAMERAS), form="trapezoid")
    assert found.mean_ap == pytest.approx(((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2)


def test_a_first_place_counts_whole_in_both_forms():
    assert average_precision(torch.tensor([True, False])) == 1.0
    assert average_precision(torch.tensor([True, False]), "trapezoid") == 1.0


def test_a_query_without_a_match_is_skipped_and_counted():
    query = torch.tensor([7, 9]), torch.tensor([1, 1])
    assert retrieval(DISTANCES.expand(2, -1), query, (PERSONS, CAMERAS)).queries == 1
    with pytest.raises(ValueError, match="no query has a match"):
        retrieval(DISTANCES, (torch.tensor([9]), torch.tensor([1])), (PERSONS, CAMERAS))


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
    assert average_precision(torch.tensor(hits), form) == pytest.approx(naive(hits, form))


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match="form='area': choose 'mean' or 'trapezoid'"):
        average_precision(torch.tensor([True]), "area")
