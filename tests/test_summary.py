"""A summary as JSON and back, of today and as older versions wrote it; results as typed lines."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from codistill.statistics.interval import Gain
from codistill.study.differences import Difference
from codistill.study.results import Pairs
from codistill.study.summary import Cost, Ensemble, Summary, SummaryRow
from codistill.training.results import PairsResult

COMMITTED = {path.stem: path for path in (Path(__file__).parents[1] / "benchmarks" / "results").glob("*.json")}
SUMMARIES = [name for name, path in COMMITTED.items() if '"gain_ci95"' in path.read_text(encoding="utf-8")]
OF_SUMMARIES = {"courses"}  # what benchmarks/keep.py adds


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_committed_summary_opens_and_keeps_its_values(name):
    values = json.loads(COMMITTED[name].read_text(encoding="utf-8"))
    again = dict(Summary.from_dict(values).as_dict())
    rows = zip(values.pop("rows"), again.pop("rows"), strict=True)
    assert values.keys() - OF_SUMMARIES <= again.keys()
    assert all(again[key] == value for key, value in values.items() if key not in OF_SUMMARIES)
    assert [key for key in values if key not in OF_SUMMARIES] == [key for key in again if key in values]
    for row, same in rows:
        assert {**same, **row} == same


COST = Cost(forward=1.0, backward=1.0, forward_per_network=1.0, backward_per_network=1.0)
ROW = SummaryRow(
    method="dml:peers=2", label="DML, 2 networks", alone=False, peers=2, seeds=2, networks=4, mean=0.9, sd=0.01,
    beside={"ece": 0.02}, alone_mean=0.88, gain=Gain(0.02, (0.01, 0.03), (0.015, 0.025), (0.0, 0.04)),
    ensemble=Ensemble(2, 0.92, 0.9), pairs=Pairs(0.9, None, 0.1, 0.02), same_gradient_as="dml",
    cost=replace(COST, seconds=2.1, seconds_per_network=1.05),
    churn=0.04, against_alone={"ece": Difference(-0.01, (-0.02, 0.0)), "churn": Difference(-0.005, None)},
)  # fmt: skip
BASE = SummaryRow(
    method="alone", label="Alone", alone=True, peers=1, seeds=2, networks=1, mean=0.88, sd=None, beside={"ece": 0.03},
    alone_mean=None, gain=None, ensemble=None, pairs=None, same_gradient_as=None, cost=COST,
)  # fmt: skip
SUMMARY = Summary(
    recipe="digits", quick=True, seeds=(0, 1), n_test=797, measure="map", baseline="alone", notes=("A note.",),
    rows=(BASE, ROW), settings={"epochs": 2}, command="codistill", versions={"torch": "2"},
)  # fmt: skip


def test_a_summary_is_the_same_after_json():
    assert Summary.from_json(SUMMARY.to_json()) == SUMMARY
    assert json.loads(SUMMARY.to_json()) == SUMMARY.as_dict()


def test_the_names_in_the_file_are_those_of_the_measure():
    row = SUMMARY.as_dict()["rows"][1]
    assert list(row) == [
        *("method", "label", "alone", "peers", "seeds", "networks", "map_mean", "map_sd", "ece_mean", "alone_mean"),
        *("gain_mean", "gain_ci95", "gain_per_seed", "gain_ci95_crossed"),
        *("ensemble_networks", "ensemble_mean", "ensemble_alone_mean"),
        *("pairs", "same_gradient_as", "cost", "churn", "against_alone"),
    ]
    assert list(row["cost"])[2:4] == ["seconds", "forward_per_network"]
    assert "seconds" not in SUMMARY.as_dict()["rows"][0]["cost"]


def test_older_rows_are_the_baseline_by_name_and_have_no_pairs():
    values = SUMMARY.as_dict()
    del values["measure"], values["quick"]
    for row in values["rows"]:
        row |= {"accuracy_mean": row.pop("map_mean"), "accuracy_sd": row.pop("map_sd")}
        del row["alone"], row["alone_mean"], row["pairs"], row["gain_ci95_crossed"], row["against_alone"]
    older = Summary.from_dict(values)
    assert (older.measure, older.quick) == ("accuracy", False)
    assert [row.alone for row in older.rows] == [True, False]
    assert older.rows[1].mean == 0.9
    assert older.rows[1].pairs is None
    assert older.rows[1].gain.crossed is None
    assert older.rows[1].against_alone == {}


def pairs(off, **values):
    matrix = [[1.0, off, off + 0.1], [off, 1.0, off + 0.2], [off + 0.1, off + 0.2, 1.0]]
    matrices = {**dict.fromkeys(Pairs.__annotations__, matrix), **values}
    return PairsResult(method="dml", seed=0, part="test", n=9, matrices=matrices)


def test_pairs_are_means_off_the_diagonal_over_seeds():
    assert Pairs.of([pairs(0.5), pairs(0.6)]).agreement == pytest.approx(0.65)
    some = pairs(0.5, error_correlation=[[None, None, None], [None, 1.0, 0.4], [None, 0.4, 1.0]])
    assert Pairs.of([some]).error_correlation == pytest.approx(0.4)
    none = pairs(0.5, error_correlation=[[None] * 3] * 3)
    assert Pairs.of([none]).error_correlation is None
    assert Pairs.of([]) is None
