import itertools
import statistics

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import stats

from codistill.statistics.crossed import crossed_interval
from codistill.statistics.interval import paired_interval


def by_hand(d, level):
    """The same from the components of variance, each estimated in sums over single numbers."""
    s, n = len(d), len(d[0])
    mean = statistics.fmean(itertools.chain(*d))
    seed = [statistics.fmean(row) - mean for row in d]
    example = [statistics.fmean(column) - mean for column in zip(*d, strict=True)]
    rest = sum((d[i][j] - mean - seed[i] - example[j]) ** 2 for i in range(s) for j in range(n)) / ((s - 1) * (n - 1))
    of_seeds = n * sum(x * x for x in seed) / (s - 1)
    of_examples = max(0.0, (s * sum(x * x for x in example) / (n - 1) - rest) / s)
    reach = stats.t.isf((1 - level) / 2, min(s, n) - 1) * (of_seeds / (s * n) + of_examples / n) ** 0.5
    return mean, mean - reach, mean + reach


tables = st.tuples(st.integers(2, 6), st.integers(2, 9), st.integers(0, 10_000))


@given(table=tables, level=st.sampled_from([0.5, 0.9, 0.95]))
@settings(max_examples=60, deadline=None)
def test_equals_the_components_of_variance_summed_by_hand(table, level):
    *shape, seed = table
    d = np.random.default_rng(seed).integers(-1, 2, shape).astype(float)
    found = crossed_interval(d, level)
    assert found == pytest.approx(by_hand(d.tolist(), level), abs=1e-12)


@given(table=tables)
@settings(max_examples=40, deadline=None)
def test_is_student_s_interval_over_seeds_and_what_the_examples_add(table):
    *shape, seed = table
    d = np.random.default_rng(seed).integers(-1, 2, shape).astype(float)
    mean, low, high = crossed_interval(d)
    assert mean == pytest.approx(paired_interval(d.mean(1))[0], abs=1e-12)
    if shape[0] <= shape[1]:
        assert high - low >= paired_interval(d.mean(1))[2] - paired_interval(d.mean(1))[1] - 1e-12


def test_seeds_that_agree_leave_what_other_examples_could_change():
    row = [1.0, 0.0, 0.0, -1.0, 1.0]
    mean, low, high = crossed_interval([row] * 4)
    assert mean == pytest.approx(0.2)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 3) * stats.sem(row))
    assert crossed_interval(np.zeros((3, 4))) == (0.0, 0.0, 0.0)


def test_the_width_is_right_on_average():
    random, found = np.random.default_rng(0), []
    for _ in range(400):
        d = random.normal(0, 2, (6, 1)) + random.normal(0, 3, 40) + random.normal(0, 1, (6, 40))
        _, low, high = crossed_interval(d)
        found.append(((high - low) / 2 / stats.t.ppf(0.975, 5)) ** 2)
    assert statistics.fmean(found) == pytest.approx(4 / 6 + 9 / 40 + 1 / 240, rel=0.1)


@pytest.mark.parametrize(("shape", "level"), [((1, 5), 0.95), ((5, 1), 0.95), ((5,), 0.95), ((3, 4), 95)])
def test_what_has_no_answer_is_refused(shape, level):
    with pytest.raises(ValueError, match="give two or more seeds|level=95"):
        crossed_interval(np.zeros(shape), level)
