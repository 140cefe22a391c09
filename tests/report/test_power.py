import dataclasses
import json
import re
from pathlib import Path
from statistics import median, stdev

import pytest

from codistill.recipes.digits import digits
from codistill.report.power import after, before, pilot_spread, spreads
from codistill.run import Run
from codistill.statistics.power import detectable_gain
from codistill.study import Study
from report.conftest import typed

STUDY = Study("small", Run(), ("dml",), tuple(range(10)))


def test_a_spread_is_that_of_the_paired_differences(summary):
    found = spreads(typed(summary))
    assert "alone" not in found
    row = summary["rows"][2]
    assert found[row["label"]] == pytest.approx(stdev(row["gain_per_seed"]))
    for row in summary["rows"]:
        row["gain_per_seed"] = [0.01] * 10 if row["gain_per_seed"] else None
    assert spreads(typed(summary)) == {}
    assert after(typed(summary)) == ""


def test_the_pilot_s_median_is_what_is_expected(summary, tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    spread = pilot_spread(tmp_path)
    assert spread == pilot_spread(tmp_path / "summary.json") == median(spreads(typed(summary)).values())
    said = before(dataclasses.replace(STUDY, spread=spread))
    assert f"10 seeds detect a true gain of {100 * detectable_gain(spread, 10):.2f} points or more" in said
    for row in summary["rows"][1:]:
        row |= {"gain_per_seed": [0.01], "gain_ci95": None}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(ValueError, match="pilot=.* has no gain over several seeds"):
        pilot_spread(tmp_path)


def test_what_is_not_known_before_is_said_and_how_to_know_it():
    assert "10 seeds" in before(STUDY)
    assert "--pilot" in before(STUDY)
    assert before(dataclasses.replace(STUDY, quick=True)) == ""
    assert before(dataclasses.replace(STUDY, seeds=(3,))) == ""


def test_afterwards_the_least_and_the_most_are_named(summary):
    said = after(typed(summary))
    found = spreads(typed(summary))
    least, most = min(found, key=found.get), max(found, key=found.get)
    expected = [f"{100 * detectable_gain(found[label], 10):.2f} points ({label})" for label in (least, most)]
    assert " to ".join(expected) in said
    assert after(typed({**summary, "quick": True})) == ""
    summary["rows"] = summary["rows"][:2]
    assert re.search(
        r"detect a true gain of \d\.\d\d points \(alone, label smoothing 0.1\) or more", after(typed(summary))
    )


def test_the_spread_of_the_recipe_is_the_one_that_was_measured():
    results = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
    assert digits().spread == pytest.approx(pilot_spread(results / "digits.json"), abs=5e-5)
