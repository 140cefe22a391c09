import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from codistill.statistics.holm import holm

some = st.lists(st.integers(0, 1000).map(lambda i: i / 1000), min_size=0, max_size=9)


def rejected(p, alpha):
    """Holm's own procedure: from the smallest on, as long as p_(k) <= alpha / (m - k + 1)."""
    found = set()
    for k, row in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[row] * (len(p) - k) > alpha:
            break
        found.add(row)
    return found


@given(p=some, alpha=st.integers(0, 999).map(lambda i: (i + 0.5) / 1000))
@settings(max_examples=200, deadline=None)
def test_adjusted_values_decide_as_the_step_down_procedure(p, alpha):
    assert {row for row, adjusted in enumerate(holm(p)) if adjusted <= alpha} == rejected(p, alpha)


@given(p=some)
@settings(max_examples=50, deadline=None)
def test_never_below_the_unadjusted_nor_above_bonferroni(p):
    for adjusted, raw in zip(holm(p), p, strict=True):
        assert raw <= adjusted <= min(1.0, len(p) * raw) or adjusted == raw


def test_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="no probability"):
        holm([0.5, wrong])


def test_tables_without_any_gain_seldom_claim_one():
    random = np.random.default_rng(0)
    wrong = sum(min(holm(random.random(10).tolist())) <= 0.05 for _ in range(2000))
    assert wrong / 2000 == pytest.approx(0.05, abs=0.015)
