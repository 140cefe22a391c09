import math

import pytest

from codistill.report.numbers import count, decimal, interval, known, listed, percent, points, signed, times


def test_numbers_as_printed():
    assert [percent(0.9412), percent(0.02, 1), percent(1)] == ["94.12", "2.0", "100.00"]
    assert [points(0.0058), points(-0.0052), points(0)] == ["+0.58", "−0.52", "0.00"]
    assert interval((-0.00001, 0.0083)) == "[−0.00, +0.83]"  # the sign tells that zero is inside
    assert [times(x) for x in (4, 1.053, 2.125, 12.34, 123.4, 9.999)] == [
        "4.0",
        "1.05",
        "2.12",
        "12.3",
        "123",
        "10.0",
    ]
    assert [times(x, 2) for x in (4, 1.053)] == ["4.00", "1.05"]


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_what_is_missing_is_a_dash(missing):
    assert [percent(missing), points(missing), times(missing)] == ["–"] * 3
    assert interval(None) == "–"
    assert not known(missing)


def test_a_huge_number_keeps_a_narrow_form():
    shown = [percent(1e20), decimal(-1e20), points(1e20), signed(2.5e9), times(1e20)]
    assert shown == ["1.00e+22", "−1.00e+20", "+1.00e+22", "+2.50e+09", "1.00e+20"]
    assert [decimal(999999.0, 1), decimal(1e6, 1)] == ["999999.0", "1.00e+06"]


def test_words():
    assert [count(1, "seed"), count(0, "seed"), count(2, "entry", "entries")] == [
        "1 seed",
        "0 seeds",
        "2 entries",
    ]
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
