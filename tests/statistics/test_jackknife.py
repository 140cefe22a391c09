import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from codistill.statistics.interval import paired_interval
from codistill.statistics.jackknife import pairs_interval


def symmetric(trainings, seed):
    values = np.random.default_rng(seed).random((trainings, trainings))
    return values + values.T


def mean_of(values, trainings):
    return statistics.fmean(values[a][b] for a, b in itertools.combinations(trainings, 2))


@given(trainings=st.integers(3, 7), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_equals_leaving_out_one_training_after_the_other(trainings, seed):
    values, every = symmetric(trainings, seed).tolist(), range(trainings)
    mean = mean_of(values, every)
    pseudo = [trainings * mean - (trainings - 1) * mean_of(values, [b for b in every if b != a]) for a in every]
    assert statistics.fmean(pseudo) == pytest.approx(mean)
    assert pairs_interval(values) == pytest.approx(paired_interval(pseudo))


def test_of_a_sum_of_what_each_training_adds_it_is_student_s():
    """The jackknife of a linear statistic is the statistic's own interval."""
    x = np.random.default_rng(0).random(6)
    assert pairs_interval(x[:, None] + x[None]) == pytest.approx(paired_interval(2 * x))


def test_the_diagonal_is_not_read_and_nothing_is_changed():
    values = symmetric(4, 0)
    np.fill_diagonal(values, math.nan)
    before = values.copy()
    assert all(map(math.isfinite, pairs_interval(values)))
    np.testing.assert_array_equal(values, before)


def test_one_pair_has_no_interval():
    mean, low, high = pairs_interval([[0.0, 0.3], [0.3, 0.0]])
    assert mean == 0.3
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4,)])
def test_what_is_no_square_of_trainings_is_refused(shape):
    with pytest.raises(ValueError, match="square"):
        pairs_interval(np.zeros(shape))
