"""A study: its parts, its pairs, its sums, and that breaking it off changes nothing."""

import dataclasses
import json
import math
import re
import statistics

import pytest
from scipy import stats

from codistill import checkpoint, study
from codistill.files import read_json, read_lines
from codistill.methods import find
from codistill.run import Run
from codistill.spec import Spec, UnknownName
from codistill.study import Study, compare, costs, load, parts, summary
from codistill.training.results import result_from_json

BASE = Run(models=("cnn:width=4",), labels=60, batch=20, epochs=4, learning_rate=0.2, peers=2, execute="stack")
METHODS = (
    "dml:peers=2",
    "dml:peers=3",
    "dml_ensemble:peers=3",
    "kd",
    "alone",
    "alone:label_smoothing=0.1",
    "dml:peers=2,update=in_turn",
)
STUDY = Study("small", BASE, METHODS, seeds=(0, 1, 5))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(costs, "TIMED_ROUNDS", 2)
    monkeypatch.setattr(costs, "TIMED_NETWORKS", 4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of the whole study, and its records."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "TIMED_ROUNDS", 2)
        patch.setattr(costs, "TIMED_NETWORKS", 4)
        return folder, list(compare(STUDY, folder, command="codistill compare"))


def strictly(path):
    """JSON without NaN."""

    def refuse(constant):
        raise AssertionError(f"{path.name} holds {constant}")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("dml:peer=4", "no option of method 'dml', or setting of a run, is called 'peer': did you mean 'peers'"),
        ("dml:epoch=4", "is called 'epoch': did you mean 'epochs'"),
        ("alone:peer=4", "no option of method 'alone', .* did you mean 'peers'"),
        ("dml:wieght=2", "did you mean 'weight'"),
        ("dml:qqqq=2", "is called 'qqqq': there are: burn_in, divergence, graph, "),
    ],
)
def test_a_misspelt_option_gets_the_nearest_of_the_methods_and_the_runs(spec, said):
    with pytest.raises(UnknownName, match=said):
        dataclasses.replace(STUDY, rows=(spec,))


# The summary, a second time -----------------------------------------------------------------------------------------


def singles(rows, seeds, **about):
    """{(seed, peer): accuracy} of single networks, from the raw lines."""
    found = [r for r in rows if r["peer"] is not None and all(r[k] == v for k, v in about.items())]
    assert {r["seed"] for r in found} == set(seeds)
    return {(r["seed"], r["peer"]): r["accuracy"] for r in found}


ABOUT = {
    "alone": {"method": "alone"},
    "alone:label_smoothing=0.1": {"method": "alone:label_smoothing=0.1"},
    "dml:peers=2": {"method": "dml", "peers": 2, "update": "together"},
    "dml:peers=3": {"method": "dml", "peers": 3},
    "dml_ensemble:peers=3": {"method": "dml_ensemble", "peers": 3},
    "kd:teacher=alone,graph=ring": {"method": "kd:teacher=alone,graph=ring"},
    "dml:peers=2,update=in_turn": {"method": "dml", "peers": 2, "update": "in_turn"},
}


@pytest.mark.parametrize("name", ABOUT)
def test_the_summary_is_what_the_raw_lines_come_to(name, finished):
    folder, _ = finished
    rows = read_lines(folder / "results.jsonl")
    (row,) = [r for r in strictly(folder / "summary.json")["rows"] if r["method"] == name]
    own, alone = singles(rows, STUDY.seeds, **ABOUT[name]), singles(rows, STUDY.seeds, **ABOUT["alone"])
    values = list(own.values())
    mean = sum(values) / len(values)
    assert row["networks"] == len(values)
    assert row["seeds"] == 3
    assert row["accuracy_mean"] == pytest.approx(mean)
    assert row["accuracy_sd"] == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)))
    if name == "alone":
        assert row["gain_mean"] is row["gain_ci95"] is row["gain_per_seed"] is None
        return
    gains = []
    for seed in STUDY.seeds:
        pairs = [(v, alone[s, peer]) for (s, peer), v in own.items() if s == seed]
        gains.append(sum(a - b for a, b in pairs) / len(pairs))
    assert row["gain_per_seed"] == pytest.approx(gains)
    assert row["gain_mean"] == pytest.approx(statistics.fmean(gains))
    assert any(gains)
    reach = stats.t.ppf(0.975, df=2) * statistics.stdev(gains) / math.sqrt(3)
    assert row["gain_ci95"] == pytest.approx([statistics.fmean(gains) - reach, statistics.fmean(gains) + reach])


def test_ensembles_are_set_beside_those_of_the_same_networks_trained_alone(finished):
    folder, _ = finished
    rows = read_lines(folder / "results.jsonl")
    for row in strictly(folder / "summary.json")["rows"]:
        size = row["ensemble_networks"]
        assert size == (2 if row["method"].startswith("dml:peers=2") else 3)

        def of(about, size=size):
            found = [r for r in rows if r["networks"] == size and r["peer"] is None]
            found = [r["accuracy"] for r in found if all(r[k] == v for k, v in about.items())]
            assert len(found) == 3
            return statistics.fmean(found)

        assert row["ensemble_mean"] == pytest.approx(of(ABOUT[row["method"]]))
        assert row["ensemble_alone_mean"] == pytest.approx(of(ABOUT["alone"]))


def test_what_a_summary_says_of_itself(finished):
    folder, records = finished
    found = strictly(folder / "summary.json")
    assert found["baseline"] == "alone" == found["rows"][0]["method"]
    assert found["n_test"] == 797
    assert found["command"] == "codistill compare"
    assert set(found["versions"]) == {"codistill", "torch", "python"}
    assert found["settings"]["labels"] == 60
    assert records[-1].kind == "summary"
    assert records[-1].facts == read_json(folder / "summary.json")


def test_methods_with_the_same_gradient_are_marked(finished):
    rows = {r["method"]: r for r in strictly(finished[0] / "summary.json")["rows"]}
    assert rows["dml_ensemble:peers=3"]["same_gradient_as"] == "dml:peers=3"
    assert rows["dml:peers=3"]["same_gradient_as"] is None


def test_costs_count_passes_of_the_cohort_and_of_its_teacher(finished):
    rows = {r["method"]: r["cost"] for r in strictly(finished[0] / "summary.json")["rows"]}

    def passes(name):
        cost = rows[name]
        return [cost[f"{kind}{per}"] for per in ("_per_network", "") for kind in ("forward", "backward")]

    assert passes("alone") == [1, 1, 1, 1]
    assert passes("alone:label_smoothing=0.1") == [1, 1, 1, 1]
    assert passes("dml:peers=2") == [1, 1, 2, 2]
    assert passes("dml:peers=3") == [1, 1, 3, 3]
    assert passes("dml_ensemble:peers=3") == [1, 1, 3, 3]
    assert passes("kd:teacher=alone,graph=ring") == [3, 2, 3, 2]  # 2 and 1, and the teacher's 1 and 1
    assert passes("dml:peers=2,update=in_turn") == [1.5, 1, 3, 2]  # (2P - 1) / P
    assert rows["alone"]["seconds"] == 1.0
    assert all(cost["seconds"] > 0 for cost in rows.values())


def test_one_seed_and_one_network_give_null_and_not_nan(tmp_path):
    small = Study("one", BASE.replace(peers=1, epochs=1), ("alone:label_smoothing=0.1",), seeds=(0,))
    list(compare(small, tmp_path))
    base, row = strictly(tmp_path / "summary.json")["rows"]
    assert base["accuracy_sd"] is row["accuracy_sd"] is row["gain_ci95"] is row["ensemble_mean"] is None
    assert row["gain_per_seed"] == [row["gain_mean"]]
    json.dumps(row, allow_nan=False)


# Pairs and twins ----------------------------------------------------------------------------------------------------


def test_what_is_not_mutual_has_as_many_networks_as_the_largest_cohort(finished):
    assert {entry.run.peers for entry in STUDY.entries if not find(entry.method).needs.peers} == {3}
    for part in parts(STUDY, finished[0]):
        assert checkpoint.read_runs(part.folder) == list(part.runs)


def test_a_student_of_the_study_learns_from_another_network_than_its_own_twin():
    (entry,) = [e for e in STUDY.entries if e.method.name == "kd"]
    assert str(entry.method) == "kd:teacher=alone,graph=ring"
    (said,) = [e for e in Study("s", BASE, ("kd:teacher=alone",), (0,)).entries if e.teacher]
    assert str(said.method) == "kd:teacher=alone,graph=ring"


def test_a_student_without_another_network_to_learn_from_is_refused():
    with pytest.raises(ValueError, match="peers=1: .*kd.* set peers to 2 or more"):
        Study("s", BASE.replace(peers=1), ("kd",), (0,))


def test_alone_has_as_many_networks_as_the_largest_cohort():
    assert Study("s", BASE, ("dml:peers=5", "dml"), (0,)).entries[0].run.peers == 5
    assert Study("s", BASE, ("kd:peers=4",), (0,)).entries[0].run.peers == 4
    with pytest.raises(
        ValueError, match="'alone' has peers=2, and network 2 of another row .* give it 4, or leave it out"
    ):
        Study("s", BASE, ("alone:peers=2", "dml:peers=4"), (0,))


# Parts --------------------------------------------------------------------------------------------------------------


def test_alone_is_added_when_it_is_missing_and_comes_first():
    assert [str(e.method) for e in Study("s", BASE, ("dml",), (0,)).entries] == ["alone", "dml"]
    smoothed = Study("s", BASE, ("alone:label_smoothing=0.1",), (0,))
    assert [str(e.method) for e in smoothed.entries] == ["alone", "alone:label_smoothing=0.1"]
    assert STUDY.entries[0].method == Spec("alone")
    assert len(STUDY.entries) == len(METHODS)


def test_what_needs_a_teacher_from_the_study_waits_for_it(tmp_path):
    found = parts(STUDY, tmp_path)
    assert [any(run.method.name == "kd" for run in part.runs) for part in found] == [False, False, True]
    assert [part.folder.name for part in found] == ["000", "001", "002"]
    assert {str(run.method) for run in found[-1].runs} == {"kd:teacher=alone,graph=ring"}
    assert {run.update for run in found[1].runs} == {"in_turn"}
    assert sum(len(part.runs) for part in found) == 3 * len(METHODS)


def test_one_run_after_the_other_gives_the_same_results(tmp_path):
    small = Study("s", BASE.replace(epochs=1, execute="loop", precision="float64"), ("dml", "kd"), (0, 5))
    single = Study("s", small.base, small.rows, small.seeds, stacked=False)
    assert len(parts(single, tmp_path)) == 6
    list(compare(small, tmp_path / "stacked"))
    list(compare(single, tmp_path / "single"))

    def rows(folder):
        found = read_lines(tmp_path / folder / "results.jsonl")
        return {(r["entry"], r["seed"], r["peer"], r["networks"]): r["accuracy"] for r in found if r["networks"]}

    assert rows("stacked") == rows("single")
    assert len(rows("single")) == 6 * 3


def test_settings_of_a_methods_own_are_in_its_name_and_kept_apart(tmp_path):
    two = Study(
        "s", BASE.replace(epochs=1, learning_rate=0.1), ("dml:learning_rate=0.01", "dml:learning_rate=0.2"), (0,)
    )
    assert [e.name for e in two.entries[1:]] == ["dml:peers=2,learning_rate=0.01", "dml:peers=2,learning_rate=0.2"]
    list(compare(two, tmp_path))
    rows = strictly(tmp_path / "summary.json")["rows"]
    assert rows[1]["nll_mean"] != rows[2]["nll_mean"]
    lines = study.log_of(tmp_path)
    assert {line["method"]: line["learning_rate"] for line in lines} == {
        "alone": pytest.approx(lines[0]["learning_rate"]),
        "dml:peers=2,learning_rate=0.01": pytest.approx(lines[0]["learning_rate"] / 10),
        "dml:peers=2,learning_rate=0.2": pytest.approx(lines[0]["learning_rate"] * 2),
    }


# Breaking off and going on ------------------------------------------------------------------------------------------


BREAKS = (  # a part, and the kind and step of its record after which the loop is left
    (1, ("start", 0)),
    (1, ("step", 7)),
    (1, ("end", 12)),
    (2, ("step", 3)),
    (3, ("step", 5)),
    (3, ("end", 12)),
)


def broken_off(records, part, kind_and_step):
    """Leave the loop at a record of a part; the parts that were started."""
    started = []
    for record in records:
        if record.kind == "start":
            started.append(record.facts["part"])
        if record.facts.get("part") == part and (record.kind, record.step) == kind_and_step:
            records.close()
            return started
    raise AssertionError("it was over before")


def test_a_study_that_is_broken_off_again_and_again_ends_as_an_unbroken_one(tmp_path, finished):
    folder = tmp_path / "broken"
    records, first = compare(STUDY, folder), 1
    for part, place in BREAKS:
        assert broken_off(records, part, place) == list(range(first, part + 1))
        assert not (folder / "summary.json").exists()
        assert load(folder) == STUDY
        records, first = compare(load(folder), folder, go_on=True), part + (place[0] == "end")
    for record in records:
        assert record.kind == "timing"
        records.close()  # the timing can be broken off too
    assert [r.kind for r in compare(STUDY, folder, go_on=True)] == ["timing", "summary"]
    assert (folder / "results.jsonl").read_text() == (finished[0] / "results.jsonl").read_text()
    rows, expected = (strictly(f / "summary.json")["rows"] for f in (folder, finished[0]))
    assert [r["gain_mean"] for r in rows] == [r["gain_mean"] for r in expected]


def test_a_finished_study_trains_no_further(finished):
    folder, records = finished
    before = (folder / "results.jsonl").read_text()
    assert [r.kind for r in compare(STUDY, folder, go_on=True)] == ["summary"]
    assert (folder / "results.jsonl").read_text() == before
    assert strictly(folder / "summary.json")["rows"] == records[-1].facts["rows"]


def test_a_folder_with_something_in_it_is_refused(tmp_path, finished):
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, finished[0]):
        with pytest.raises(FileExistsError, match="already exists: resume it, or choose another name"):
            next(compare(STUDY, folder))
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_settings_that_do_not_fit_leave_no_folder_behind(tmp_path):
    with pytest.raises(ValueError, match="labels=5000"):
        next(compare(Study("s", BASE.replace(labels=5000), ("dml",), (0,)), tmp_path / "new"))
    assert not (tmp_path / "new").exists()


# As data ------------------------------------------------------------------------------------------------------------


def test_a_study_comes_back_from_its_json():
    assert Study.from_dict(json.loads(json.dumps(STUDY.as_dict()))) == STUDY
    other = Study("small", BASE, METHODS, seeds=(0, 1), stacked=False, notes=("mind the gap",))
    assert Study.from_dict(json.loads(json.dumps(other.as_dict()))) == other


def test_what_is_no_studys_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a comparison"):
        load(tmp_path)


def test_a_misspelt_method_gets_the_nearest():
    with pytest.raises(UnknownName, match="no method is called 'dlm': did you mean 'dml'"):
        Study("s", BASE, ("alone", "dlm"), (0,))


@pytest.mark.parametrize(
    ("methods", "seeds", "words"),
    [
        (("dml",), (), "seeds are empty"),
        (("dml",), (0, 0), "give each seed once"),
        (("dml:peers=x",), (0,), "peers='x': give a whole number"),
        (("dml", "dml:peers=2"), (0,), "'dml:peers=2' is given twice"),
    ],
)
def test_what_cannot_be_compared_is_refused(methods, seeds, words):
    with pytest.raises(ValueError, match=words):
        Study("s", BASE, methods, seeds)


def test_rows_from_which_some_are_missing_are_no_summary(finished):
    folder, _ = finished
    rows = [r for r in read_lines(folder / "results.jsonl") if not (r["seed"] == 5 and r["method"] == "alone")]
    with pytest.raises(KeyError):
        summary(STUDY, [result_from_json(row) for row in rows], json.loads((folder / "costs.json").read_text()))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("lskd:temperature=0", "temperature=0: give a number"),
        ("ddgsd", "needs distorted views, and augment is empty"),
        ("one:peers=3", "needs branches of one trunk: set branch_at"),
        ("kd:wieght=2", "did you mean 'weight'"),
    ],
)
def test_what_a_row_cannot_be_is_said_before_anything_is_trained(spec, said, tmp_path):
    with pytest.raises(ValueError, match=re.escape(said)):
        next(compare(dataclasses.replace(STUDY, rows=("alone", spec)), tmp_path / "study"))
    assert not (tmp_path / "study").exists()
