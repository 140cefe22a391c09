from fractions import Fraction
from math import comb

import pytest

from codistill.statistics.mcnemar import mcnemar


def by_counting(lost, gained):
    """The probability of every outcome that is at most as likely as this one, in fractions."""
    n = lost + gained
    likely = [Fraction(comb(n, k), 2**n) for k in range(n + 1)]
    return float(sum(p for p in likely if p <= likely[gained]))


@pytest.mark.parametrize("lost", range(0, 31, 3))
@pytest.mark.parametrize("gained", range(0, 31, 5))
def test_equals_the_outcomes_counted(lost, gained):
    assert mcnemar(lost, gained) == pytest.approx(by_counting(lost, gained), rel=1e-9)


def test_neither_order_nor_agreement_matters():
    assert mcnemar(3, 12) == mcnemar(12, 3)
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1.0


@pytest.mark.parametrize(("lost", "gained"), [(-1, 3), (2, -2)])
def test_what_is_no_count_is_refused(lost, gained):
    with pytest.raises(ValueError, match="count"):
        mcnemar(lost, gained)
