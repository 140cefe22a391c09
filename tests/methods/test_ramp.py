"""Weights that rise over the first part of the training."""

from math import exp

import pytest

from codistill.methods.parts.ramp import ramp, rise


def test_the_ramp_rises_from_e_to_the_minus_5_to_1():
    assert ramp(0.0, 0.4) == pytest.approx(exp(-5.0))
    assert ramp(0.2, 0.4) == pytest.approx(exp(-1.25))
    assert ramp(0.4, 0.4) == 1.0
    assert ramp(0.9, 0.4) == 1.0
    assert ramp(None, 0.4) == 1.0
    assert ramp(0.0, 0.0) == 1.0


def test_the_straight_line_rises_from_0_to_1():
    assert [rise(t, 0.4) for t in (0.0, 0.1, 0.4, 0.9)] == [0.0, 0.25, 1.0, 1.0]
    assert rise(None, 0.4) == rise(0.0, 0.0) == 1.0
