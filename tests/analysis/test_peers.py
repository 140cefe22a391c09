import pytest

from codistill.analysis.curves import EpochLine
from codistill.analysis.peers import over_epochs, ratios


def line(epoch, seed, edges=None, agree=None, mimic=(0.1, 0.3), method="dml"):
    logged = {"kind": "epoch", "method": method, "seed": seed, "epoch": epoch, "terms": {"task": [1.0, 2.0]}}
    if mimic:
        logged["terms"]["mimic"] = list(mimic)
    return logged | ({"edges": edges, "agree": agree} if edges else {})


def test_means_are_over_seeds_and_pairs_without_the_diagonal():
    lines = [
        line(1, 0, [[0, 0.2], [0.4, 0]], [[1, 0.5], [0.5, 1]]),
        line(1, 1, [[0, 0.6], [0.8, 0]], [[1, 0.7], [0.7, 1]]),
        line(2, 0, [[0, 0.1], [0.1, 0]], [[1, 0.9], [0.9, 1]]),
        {"kind": "start"},
    ]
    first, second = over_epochs(lines)
    assert (first.epoch, first.divergence, first.agreement) == (1, pytest.approx(0.5), pytest.approx(0.6))
    assert second.divergence == pytest.approx(0.1)
    assert first.divergence_sd == pytest.approx((sum((v - 0.5) ** 2 for v in (0.2, 0.4, 0.6, 0.8)) / 3) ** 0.5)
    assert first.ratio == pytest.approx((0.1 + 0.15) / 2)


def test_what_was_not_logged_is_null():
    (entry,) = over_epochs([line(1, 0, mimic=None)])
    assert (entry.divergence, entry.agreement, entry.ratio) == (None, None, None)


def test_all_imitation_terms_count_together():
    logged = line(1, 0)
    logged["terms"] |= {"feature": [0.5, 0.5], "ensemble": [3.0]}
    assert ratios(EpochLine.from_json(logged)) == pytest.approx([0.6, 0.4])


def test_a_penalty_that_is_below_zero_is_no_imitation():
    def terms(**values):
        return EpochLine("r", "dml", 0, 1, {"task": [1.0, 2.0], **values}).imitation

    assert terms(confidence=[-0.5, -0.2]) == {}
    assert terms(mimic=[0.0, 0.0]) == {"mimic": [0.0, 0.0]}
