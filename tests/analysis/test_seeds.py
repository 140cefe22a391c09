import math

import pytest

from codistill.analysis.measures import NetworkMeasures
from codistill.analysis.runs import Row
from codistill.analysis.seeds import method_means
from codistill.statistics.interval import paired_interval

ALONE, DML = Row("alone", "Alone", True), Row("dml", "DML", False)


def network(method, seed, peer, value, model="cnn"):
    top = (0.9, 0.1) if method == "alone" else (0.8, 0.2)
    train, test = (20, value, math.nan, math.nan, top), (0, math.nan, math.nan, math.nan, ())
    return NetworkMeasures(method, seed, peer, model, math.nan, *train, *test)


def test_differences_are_paired_by_seed_and_number_and_averaged_within_a_seed():
    networks = [network("alone", s, p, 10 * s + p) for s in (0, 1) for p in (0, 1, 2)]
    networks += [network("dml", 0, p, p + 1) for p in (0, 1)] + [
        network("dml", 1, p, 10 + p + 3 + 2 * p) for p in (0, 1)
    ]
    base, row = method_means(networks, [ALONE, DML])
    means = row.measures["train_loss"]
    mean, low, high = paired_interval([1.0, 4.0])
    assert (means.difference, means.ci95) == (mean, (low, high))
    assert (means.mean, means.n) == (pytest.approx((1 + 2 + 13 + 16) / 4), 4)
    assert base.measures["train_loss"].difference is None
    assert (base.networks, base.seeds, row.networks) == (6, 2, 4)
    assert row.train_top == pytest.approx([0.8, 0.2])
    assert row.test_top == []


def test_one_seed_has_no_interval_and_no_baseline_no_difference():
    one = method_means([network("alone", 0, 0, 1.0), network("dml", 0, 0, 3.0)], [ALONE, DML])[1].measures["train_loss"]
    assert (one.difference, one.ci95) == (2.0, None)
    other = method_means([network("alone", 1, 0, 1.0), network("dml", 0, 0, 3.0)], [ALONE, DML])[1].measures[
        "train_loss"
    ]
    assert other.difference is None


def test_heterogeneous_networks_of_a_method_are_rows_of_their_own_with_their_own_baselines():
    small, big = Row("alone:a", "Alone a", True), Row("alone:b", "Alone b", True)
    networks = [
        network("alone:a", 0, 0, 1.0, "a"),
        network("alone:b", 0, 1, 5.0, "b"),
        network("dml", 0, 0, 2.0, "a"),
        network("dml", 0, 1, 8.0, "b"),
    ]
    means = method_means(networks, [small, big, DML])
    assert [(r.label, r.measures["train_loss"].difference) for r in means] == [
        ("Alone a", None),
        ("Alone b", None),
        ("DML, its a", 1.0),
        ("DML, its b", 3.0),
    ]


def test_a_measure_that_no_network_has_is_left_out():
    networks = [network("alone", 0, 0, math.nan)]
    (row,) = method_means(networks, [ALONE])
    assert row.measures == {}
