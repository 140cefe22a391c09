import math
import statistics

import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

from codistill.statistics.interval import mean_sd, paired_gain, paired_interval, paired_p

numbers = st.lists(st.integers(-1000, 1000).map(lambda i: i / 997), min_size=2, max_size=12, unique=True)


@given(values=numbers, level=st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_equals_the_standard_library_and_scipy(values, level):
    mean, sd = mean_sd(values)
    assert mean == pytest.approx(statistics.fmean(values), abs=1e-12)
    assert sd == pytest.approx(statistics.stdev(values), abs=1e-12)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    centre, low, high = paired_interval(values, level)
    assert centre == mean
    assert low == pytest.approx(expected.low, abs=1e-9)
    assert high == pytest.approx(expected.high, abs=1e-9)


@given(values=numbers)
@settings(max_examples=60, deadline=None)
def test_p_is_scipy_s_and_goes_with_the_interval(values):
    p = paired_p(values)
    assert p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)
    _, low, high = paired_interval(values, 1 - p) if 0 < p < 1 else (0.0, 0.0, 0.0)
    assert min(abs(low), abs(high)) == pytest.approx(0.0, abs=1e-6)


def test_no_spread_has_no_p():
    assert math.isnan(paired_p([0.5]))
    assert math.isnan(paired_p([0.5, 0.5]))


@given(values=numbers, shift=st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_moves_with_the_values_and_widens_with_the_level(values, shift):
    narrow, wide = paired_interval(values, 0.8), paired_interval(values, 0.99)
    assert wide[1] <= narrow[1] <= narrow[0] <= narrow[2] <= wide[2]
    assert paired_interval([v + shift for v in values], 0.8) == pytest.approx([x + shift for x in narrow], abs=1e-9)


def test_one_seed_has_no_interval():
    assert mean_sd([0.25])[0] == 0.25
    assert math.isnan(mean_sd([0.25])[1])
    mean, low, high = paired_interval([0.25])
    assert mean == 0.25
    assert math.isnan(low)
    assert math.isnan(high)


def test_equal_differences_leave_no_width_and_nan_stays():
    assert paired_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    assert all(map(math.isnan, paired_interval([0.5, math.nan])))


def test_tensors_are_values_too():
    assert paired_interval(torch.tensor([0.5, 1.5])) == paired_interval([0.5, 1.5])


def test_what_has_no_answer_is_refused():
    for call in (mean_sd, paired_interval):
        with pytest.raises(ValueError, match="no values"):
            call([])
    for level in (0, 1, 95):
        with pytest.raises(ValueError, match=f"level={level}"):
            paired_interval([1.0, 2.0], level)


def test_a_gain_is_averaged_within_a_seed_and_then_over_seeds():
    gain = paired_gain([[(0.9, 0.8), (0.7, 0.8)], [(0.9, 0.6), (0.8, 0.7)], [(0.5, 0.5)]])
    assert gain.per_seed == pytest.approx((0.0, 0.2, 0.0))
    mean, *interval = paired_interval(gain.per_seed)
    assert gain.mean == mean
    assert gain.interval == tuple(interval)
    assert paired_gain([[(0.9, 0.8)]]).interval is None
    with pytest.raises(ValueError, match="no values"):
        paired_gain([])
