import pytest
from scipy import stats

from codistill.report.verdict import headline, is_mutual, judge, p_values, verdict
from codistill.statistics.interval import paired_interval
from report.conftest import typed


def row_of(summary, method):
    return next(r for r in summary["rows"] if r["method"] == method)


def typed_row(summary, method):
    return next(row for row in typed(summary).rows if row.method == method)


@pytest.mark.parametrize(
    ("bounds", "kind", "word"),
    [
        ([0.001, 0.01], "gain", "Gain"),
        ([-0.01, -0.001], "loss", "Loss"),
        ([-0.001, 0.01], "unclear", "No clear difference"),
        ([0.0, 0.01], "unclear", "No clear difference"),
        ([0.0, 0.0], "unclear", "No clear difference"),
        ([0.01, 0.01], "none", "No verdict: all seeds gained the same"),
        (None, "none", "No verdict"),
    ],
)
def test_the_interval_decides(summary, bounds, kind, word):
    row_of(summary, "dml:peers=2")["gain_ci95"] = bounds
    row = typed_row(summary, "dml:peers=2")
    assert judge(row) == kind
    assert verdict(row).startswith(word)


def test_one_seed_and_no_gain_are_said_in_words(summary):
    row = row_of(summary, "dml:peers=2")
    row |= {"gain_per_seed": [0.004], "gain_ci95": None, "seeds": 1}
    assert verdict(typed_row(summary, "dml:peers=2")) == "No verdict: one seed gives no interval."
    row |= {"seeds": 2}
    assert verdict(typed_row(summary, "dml:peers=2"), quick=True) == "No verdict: this is a quick look."
    assert verdict(typed_row(summary, "dml:peers=2")) == "No verdict: no interval is known."
    row |= {"gain_mean": None, "gain_per_seed": None}
    assert verdict(typed_row(summary, "dml:peers=2")) == "No verdict: not compared with the baseline."
    assert verdict(typed_row(summary, "alone")) == "The baseline."


def test_who_is_mutual(summary):
    assert [row.method for row in typed(summary).rows if is_mutual(row)] == [
        "dml:peers=2",
        "dml:peers=4",
        "dml_ensemble:peers=4",
    ]


def test_headline_names_the_biggest_reliable_gain_with_its_numbers(summary):
    four = row_of(summary, "dml:peers=4")
    four |= {"gain_mean": 0.0058, "gain_ci95": [0.0033, 0.0083], "accuracy_mean": 0.9412}
    row_of(summary, "dml:peers=2").update(gain_mean=0.02, gain_ci95=[-0.01, 0.05])  # bigger, not reliable
    row_of(summary, "dml_ensemble:peers=4").update(gain_mean=0.03, gain_ci95=[0.02, 0.04])  # no second evidence
    row_of(summary, "alone")["accuracy_mean"] = 0.9354
    text = " ".join(headline(typed(summary)))
    for part in (
        "DML, 4 networks",
        "+0.58",
        "[+0.33, +0.83]",
        "94.12 %",
        "93.54 %",
        "797 test examples",
        "10 seeds",
    ):
        assert part in text
    assert "4.31 times one network trained alone, 1.08 times per network" in text
    assert "DML_e" not in text


def test_headline_says_plainly_that_there_was_no_gain_and_what_lost(summary):
    for row in summary["rows"][1:]:
        row |= {"gain_mean": -0.001, "gain_ci95": [-0.004, 0.002]}
    text = " ".join(headline(typed(summary)))
    assert "No mutual-learning method gained reliably" in text
    assert "reliable gain here" not in text
    row_of(summary, "dml:peers=2")["gain_ci95"] = [-0.002, -0.0005]
    text = " ".join(headline(typed(summary)))
    assert "DML, 2 networks was reliably worse than training alone: −0.10 points [−0.20, −0.05]" in text


def test_headline_names_a_plainer_method_that_gained_more(summary):
    row_of(summary, "kd").update(gain_mean=0.05, gain_ci95=[0.04, 0.06], gain_per_seed=[0.036, 0.064] * 5)
    assert (
        "Without mutual learning, KD from a frozen teacher gained more than any of them, +5.00"
        in headline(typed(summary))[-1]
    )


def test_headline_of_one_seed_and_of_no_comparison(summary):
    for row in summary["rows"][1:]:
        row |= {"gain_ci95": None, "gain_per_seed": [row["gain_mean"]], "seeds": 1}
    text = " ".join(headline(typed(summary)))
    assert "over 1 seed," in text
    assert "cannot be told from chance" in text
    assert "nan" not in text
    summary["rows"] = summary["rows"][:1]
    assert "no mutual-learning method" in " ".join(headline(typed(summary)))


def p_of(summary, method):
    return stats.ttest_1samp(row_of(summary, method)["gain_per_seed"], 0.0).pvalue


def test_p_is_of_the_row_and_after_holm_of_the_table(summary):
    found = p_values(typed(summary))
    raw = {method: p_of(summary, method) for method in found}
    assert list(found) == [row["method"] for row in summary["rows"][1:]]
    assert {method: single for method, (_, single) in found.items()} == pytest.approx(raw)
    left = len(raw)
    largest = 0.0
    for method in sorted(raw, key=raw.get):
        largest = max(largest, min(1.0, left * raw[method]))
        assert found[method][0] == pytest.approx(largest)
        left -= 1
    row_of(summary, "kd")["gain_per_seed"] = [2**-10] * 10
    assert "kd" not in p_values(typed(summary))


def test_an_interval_that_so_many_rows_make_likely_is_no_reliable_gain(summary):
    """p = 0.017 by itself, and 0.08 among five rows."""
    lucky = [0.004 + 0.0001 * i for i in (-70, 45, -40, 5, 40, 60, -30, 10, 20, -40)]
    for row in summary["rows"][1:]:
        row |= {"gain_mean": 0.0, "gain_ci95": [-0.001, 0.001], "gain_per_seed": [-0.001, 0.001] * 5}
    mean, low, high = paired_interval(lucky)
    row_of(summary, "dml:peers=4").update(gain_mean=mean, gain_ci95=[low, high], gain_per_seed=lucky)
    after_holm, alone = p_values(typed(summary))["dml:peers=4"]
    row = typed_row(summary, "dml:peers=4")
    assert (alone, after_holm) == pytest.approx((0.0167, 0.0835), abs=1e-4)
    text = " ".join(headline(typed(summary)))
    assert "No mutual-learning method gained reliably" in text
    assert "that excludes zero, but among so many rows it may be chance (Holm)." in text
    assert (
        verdict(row, p=after_holm) == "Gain: the whole interval lies above zero. Among so many rows it may be chance."
    )
    assert verdict(row, p=0.04) == "Gain: the whole interval lies above zero."


def test_the_power_is_in_the_headline(summary):
    assert "10 seeds detect a true gain of" in " ".join(headline(typed(summary)))


def of_unlike_networks(summary, seeds=10):
    """A comparison of a small and a large network: the small one is better alone and loses, the large one gains."""
    spread = [0.002, -0.002] * (seeds // 2) + [0.0] * (seeds % 2)
    alone, pair = (row_of(summary, method) for method in ("alone", "dml:peers=2"))
    rows = []
    for name, base, gain in (("Small", 0.657, -0.0313), ("Large", 0.60, 0.0113)):
        gains = [gain + each for each in spread]
        _, low, high = paired_interval(gains)
        rows.append(
            {**alone, "method": f"alone [{name}]", "label": f"{name}, alone", "alone": True, "accuracy_mean": base}
        )
        rows.append({
            **pair, "method": f"dml:peers=2 [{name}]", "label": f"{name} in DML, 2 networks", "alone": False,
            "alone_mean": base, "accuracy_mean": base + gain, "gain_mean": gain, "gain_ci95": [low, high],
            "gain_per_seed": gains, "seeds": seeds, "ensemble_mean": 0.621, "ensemble_alone_mean": 0.6503,
            "pairs": None,
        })  # fmt: skip
    return typed({**summary, "baseline": "alone [Small]", "rows": [rows[0], rows[2], rows[1], rows[3]]})


def test_a_loss_of_the_better_network_and_of_the_ensemble_is_said_first_and_all_networks_are_named(summary):
    said = headline(of_unlike_networks(summary))
    assert said[1].startswith(
        "Small in DML, 2 networks, the network of its cohort that is best when alone, was reliably worse than training "
        "alone: −3.13 points [−3.28, −2.98]."
    )
    assert said[2] == (
        "Used together as an ensemble, this cohort reaches less than the same networks trained alone: 62.10 % against "
        "65.03 % (DML, 2 networks). No interval was computed for this."
    )
    assert said[3] == (
        "Of DML, 2 networks: Small lost −3.13 points [−3.28, −2.98], Large gained +1.13 points [+0.98, +1.28]."
    )
    assert "The biggest reliable gain here is that of Large in DML, 2 networks" in said[4]


def test_fewer_than_five_seeds_are_never_called_reliable(summary):
    text = " ".join(headline(of_unlike_networks(summary, seeds=3)))
    assert "reliably" not in text
    assert "biggest reliable" not in text
    assert "over 3 seeds, which are too few to rely on." in text
    assert "Fewer than five seeds are too few to rely on." in text
    assert "reliable gain" in " ".join(headline(of_unlike_networks(summary, seeds=5)))
    row = of_unlike_networks(summary, seeds=4).rows[3]
    assert verdict(row) == "Gain: the whole interval lies above zero. 4 seeds are too few to rely on it."
