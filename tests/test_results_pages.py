"""The pages that show what was measured say what the files of results say."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from codistill.report.markdown import markdown
from codistill.study import Summary

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def script(monkeypatch):
    """A script of benchmarks as a module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", ROOT / "benchmarks" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)  # where a dataclass looks its module up
        spec.loader.exec_module(module)
        return module

    return load


def test_the_page_of_claims_is_what_the_results_come_to(script):
    assert (ROOT / "docs" / "claims.md").read_text(encoding="utf-8") == script("claims").page()


def test_the_page_on_when_it_helps_is_what_the_results_come_to(script):
    assert (ROOT / "docs" / "when-does-it-help.md").read_text(encoding="utf-8") == script("when_does_it_help").page()


def test_the_page_on_text_shows_the_tables_that_were_measured(script):
    text = (ROOT / "docs" / "text-question.md").read_text(encoding="utf-8")
    assert script("text_question").page(text) == text


def test_the_page_on_co_teaching_shows_the_tables_that_were_measured(script):
    text = (ROOT / "docs" / "how-much-of-co-teaching-is-co.md").read_text(encoding="utf-8")
    module = script("co_teaching")
    assert module.page(text) == text


def test_what_a_peer_adds_is_the_paired_difference_over_seeds(script):
    from scipy import stats

    module = script("co_teaching")
    one, other = [0.20, 0.23, 0.21], [0.19, 0.18, 0.22]
    said = module.less({"gain_per_seed": one}, {"gain_per_seed": other})
    low, high = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert said == f"+1.7 [{100 * low:+.1f}, {100 * high:+.1f}]"
    assert module.less({"gain_per_seed": one}, {"gain_per_seed": None, "seeds": 3}).startswith("+21.3 ")  # the baseline


def test_a_claim_is_confirmed_by_intervals_above_zero_alone(script):
    module = script("claims")
    assert module.judge([(0.1, 0.2), (0.3, 0.4)]) == "confirmed"
    assert module.judge([(0.1, 0.2), (-0.3, 0.4)]) == "confirmed in part"
    assert module.judge([(-0.1, 0.2)]) == "not confirmed"
    assert module.judge([(0.1, 0.2), (-0.3, -0.1)]) == "not confirmed"


def test_the_page_of_coverage_is_what_was_simulated(script):
    home = ROOT / "benchmarks" / "results"
    found = json.loads((home / "coverage.json").read_text(encoding="utf-8"))
    assert found["studies"] == 1000
    assert script("coverage").page(found) == (home / "coverage.md").read_text(encoding="utf-8")


def test_intervals_hold_the_truth_as_often_as_they_promise(script):
    """A short form of what `benchmarks/coverage.py` simulates."""
    module = script("coverage")
    worlds = module.WORLDS
    assert module.coverage(worlds["only seeds differ"], 5, 300, "student", 100)[0] == pytest.approx(0.95, abs=0.03)
    assert module.coverage(worlds["only seeds differ"], 5, 300, "crossed", 100)[0] == pytest.approx(0.95, abs=0.03)
    assert module.coverage(worlds["examples matter much"], 10, 300, "crossed", 797)[0] >= 0.93
    assert module.coverage(worlds["examples matter much"], 10, 300, "student", 797)[0] < 0.93


KEPT = sorted(p.stem for p in (ROOT / "benchmarks" / "results").glob("*.json") if '"courses"' in p.read_text())


OTHERS = {"digits_analysis", "coverage", "top_targets"}  # no comparisons
TABLES = sorted(p.stem for p in (ROOT / "benchmarks" / "results").glob("*.md") if p.stem not in OTHERS)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_its_results_print(name):
    home = ROOT / "benchmarks" / "results"
    kept = json.loads((home / f"{name}.json").read_text(encoding="utf-8"))
    assert markdown(Summary.from_dict(kept)) == (home / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_of_a_comparison_has_its_command_and_no_machines_folder(name):
    text = (ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")
    kept = json.loads(text)
    assert kept["command"].startswith("codistill compare")
    assert "/tmp" not in text
    assert "/work" not in text
    rows = {row["method"]: row for row in kept["rows"]}
    for row in rows.values():
        gains = row["gain_per_seed"]
        if gains is not None:
            assert len(gains) == len(kept["seeds"])
            assert sum(gains) / len(gains) == pytest.approx(row["gain_mean"])
