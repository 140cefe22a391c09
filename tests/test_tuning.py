"""A grid of settings on validation data, trained as one."""

import math
import shlex
from statistics import fmean

import pytest

import codistill.cli as cli
from codistill.cli.commands.tune import read_grid
from codistill.files import read_json
from codistill.recipes import get
from codistill.report.table import terminal
from codistill.report.tuning import compare_command, sentences, tuning_table
from codistill.run import Run
from codistill.spec import UnknownName
from codistill.statistics.interval import paired_interval
from codistill.study import Row, Study
from codistill.study.results import networks_of
from codistill.study.tuning import Tried, Tuning, behind, best_of, beyond, load, tune
from codistill.training.build import build_fleet
from codistill.training.results import results
from codistill.training.state import Training

BASE = Run(models=("mlp:hidden=8",), labels=60, batch=20, epochs=2, peers=2, valid=100, execute="stack", threads=1)
RECIPE = Study("small", BASE, ("alone", "dml", "kd"), seeds=(0, 1, 5), retrainings=2)
GRID = {"learning_rate": (0.1, 0.3), "weight_decay": (5e-4, 1e-1)}


def tuning(grid=GRID, rows=("alone", "dml", "kd"), seeds=2, recipe=RECIPE):
    return Tuning.of(recipe, grid, rows, seeds)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    return folder, list(tune(tuning(), folder, command="codistill tune small"))


# What is tried ------------------------------------------------------------------------------------------------------


def test_every_method_gets_the_whole_grid_on_seeds_of_its_own_and_validation_data():
    found = tuning()
    assert found.study.part == found.trained.part == "valid"
    assert found.study.seeds == (100, 101)
    assert not set(found.study.seeds) & set(RECIPE.seeds)
    assert found.trained.retrainings == 1
    for row in found.study.rows:
        assert [settings for method, settings in found.rows.values() if method == row] == found.settings
    assert len(found.rows) == 12
    runs = {entry.name: entry.run for entry in found.trained.entries}
    assert sum(name.startswith("alone") for name in runs) == 4  # the baseline is one of the grid
    assert {(run.learning_rate, run.weight_decay) for run in runs.values()} == {
        *((0.1, 5e-4), (0.1, 0.1), (0.3, 5e-4), (0.3, 0.1))
    }


def test_seeds_begin_above_all_of_the_recipe():
    recipe = Study("late", BASE, ("alone",), seeds=(7, 140))
    assert tuning(recipe=recipe, rows=()).study.seeds == (200, 201)


def test_examples_are_held_out_where_the_recipe_holds_out_none():
    recipe = Study("none", BASE.replace(valid=0), ("alone",), seeds=(0,))
    assert tuning(recipe=recipe).study.base.valid == 0.2
    assert tuning().study.base.valid == 100


def test_the_grid_may_have_options_and_other_settings_and_one_value_is_everybodys():
    grid = {"weight": (0.5, 2.0), "epochs": (1, 2), "batch": (10,), "learning_rate": (0.2,)}
    found = tuning(grid, rows=("dml:weight=3,peers=3",))
    assert found.study.base.batch == 10
    assert found.study.base.learning_rate == 0.2
    assert [str(row) for row in found.study.rows] == ["dml:peers=3"]
    assert found.fixed == {"batch": 10, "learning_rate": 0.2}
    assert [str(row) for row in found.rows] == [
        *("dml:peers=3,epochs=1,weight=0.5", "dml:peers=3,weight=0.5"),
        *("dml:peers=3,epochs=1,weight=2.0", "dml:peers=3,weight=2.0"),
    ]
    assert Tuning.from_dict(found.as_dict()) == found


def test_rows_that_differ_in_the_grid_alone_are_one():
    found = tuning(rows=("alone", "alone:weight_decay=3", "dml:learning_rate=1", "dml"))
    assert [str(row) for row in found.study.rows] == ["alone", "dml"]


@pytest.mark.parametrize(
    ("grid", "rows", "error", "said"),
    [
        ({}, (), ValueError, "nothing is to be chosen"),
        ({"learning_rate": (0.1,)}, (), ValueError, "give two or more values"),
        ({"learning_rate": ()}, (), ValueError, "learning_rate: give one or more"),
        ({"learning_rate": (0.1, -1.0)}, (), ValueError, "learning_rate=-1.0"),
        ({"weight": (0.5, 1)}, ("alone",), UnknownName, "weight"),
        ({"learnin_rate": (0.5, 1)}, ("alone",), UnknownName, "did you mean 'learning_rate'"),
        (GRID, ("dlm",), UnknownName, "did you mean 'dml'"),
    ],
)
def test_what_cannot_be_tried_is_said_at_once(grid, rows, error, said):
    with pytest.raises(error, match=said):
        assert tuning(grid, rows).trained


# What is found ------------------------------------------------------------------------------------------------------


def naive_score(run, seed):
    """The mean validation accuracy of a run's single networks, trained by itself."""
    training = Training(build_fleet([run.replace(seed=seed)]), None)
    while training.step < training.fleet.total:
        training.advance()
    return fmean(row.values["accuracy"] for row in networks_of(results(training.fleet, "valid")))


def test_a_grid_finds_what_runs_find_one_by_one(finished):
    folder, records = finished
    found = read_json(folder / "tune.json")
    assert records[-1].kind == "tuned"
    assert found["command"] == "codistill tune small"
    assert found["seeds"] == [100, 101]
    rows = {(row["method"], *row["settings"].values()): row for row in found["rows"]}
    assert len(rows) == 12
    for method, rate, decay in (("alone", 0.3, 0.1), ("dml", 0.1, 5e-4)):
        run = BASE.replace(method=method, learning_rate=rate, weight_decay=decay)
        scores = [naive_score(run, seed) for seed in (100, 101)]
        row = rows[method, rate, decay]
        assert row["per_seed"] == pytest.approx(scores, abs=1e-9)
        assert row["mean"] == pytest.approx(fmean(scores))
        assert row["ci95"] == pytest.approx(paired_interval(scores)[1:])
    for method, best in found["best"].items():
        own = [row for key, row in rows.items() if key[0] == method]
        assert max(own, key=lambda row: row["mean"])["settings"] == best


def test_all_rates_are_trained_as_one(finished):
    _, records = finished
    starts = [record.facts for record in records if record.kind == "start"]
    assert [start["networks"] for start in starts] == [2 * 8 * 2, 4 * 2 * 2]  # alone and dml, then kd
    assert starts[0]["methods"] == ["alone", "dml"]
    assert starts[0]["several"] == {"learning_rate": [0.1, 0.3], "weight_decay": [5e-4, 0.1]}
    assert [start["groups"] for start in starts] == [[32], [16]]


def test_a_tuning_that_was_broken_off_is_gone_on_with(finished, tmp_path):
    folder = tmp_path / "broken"
    records = tune(tuning(), folder, command="codistill tune small")
    assert next(record for record in records if record.kind == "step")
    records.close()
    assert load(folder) == tuning()
    assert "rows" not in read_json(folder / "tune.json")
    list(tune(tuning(), folder, command="another"))
    assert read_json(folder / "tune.json") == read_json(finished[0] / "tune.json")
    with pytest.raises(FileExistsError, match="tuning of other settings"):
        list(tune(tuning(seeds=3), folder))


def test_a_rate_that_diverges_is_told_and_never_the_best(tmp_path):
    tried = tuning({"learning_rate": (0.1, 1e30)}, rows=("alone",))
    *_, last = tune(tried, tmp_path / "high")
    rows = {row["settings"]["learning_rate"]: row for row in last.facts["rows"]}
    assert rows[0.1]["diverged"] == 0
    assert rows[1e30]["diverged"] == 2
    assert rows[1e30]["mean"] is None
    assert last.facts["best"] == {"alone": {"learning_rate": 0.1}}


def test_the_best_and_how_far_others_are_from_it():
    rows = [Tried("dml", {"a": a}, seeds) for a, seeds in enumerate([(0.5, 0.7), (0.6, 0.9), (0.9, 0.6)])]
    lost = Tried("dml", {"a": 9}, (0.99,), diverged=1)
    assert best_of([*rows, lost]) is rows[1]
    assert best_of([lost]) is None
    assert behind(rows[0], rows[1]) == pytest.approx(paired_interval([0.1, 0.2]))


@pytest.mark.parametrize(
    ("values", "value", "further"),
    [
        ((0.4, 0.1, 0.2), 0.4, 0.8),
        ((0.1, 0.2, 0.4), 0.1, 0.05),
        ((0.1, 0.2, 0.4), 0.2, None),
        ((0.0, 0.1), 0.0, None),
        ((0.0, 0.1), 0.1, 0.2),
        ((40, 60), 60, 90),
        (("soft", "hard"), "hard", None),
        ((True, False), True, None),
        ((0.1,), 0.1, None),
    ],
)
def test_what_lies_on_the_edge_asks_for_more(values, value, further):
    assert beyond(values, value) == further


# What is printed ----------------------------------------------------------------------------------------------------


def said(rows, grid, methods, recipe=RECIPE):
    found = tuning(grid, methods, recipe=recipe)
    return found, list(sentences(found, rows)), compare_command(found, rows)


def test_the_words_for_compare_come_to_what_was_best():
    grid = {"learning_rate": (0.1, 0.3, 0.9), "epochs": (7,)}
    rows = [
        *(Tried("alone", {"learning_rate": rate}, (value,)) for rate, value in ((0.1, 0.1), (0.3, 0.9), (0.9, 0.2))),
        *(Tried("dml", {"learning_rate": rate}, (value,)) for rate, value in ((0.1, 0.1), (0.3, 0.8), (0.9, 0.9))),
        *(Tried("kd:teacher=alone,graph=ring", {"learning_rate": r}, (v,)) for r, v in ((0.1, 0), (0.3, 1), (0.9, 0))),
    ]
    _, lines, command = said(rows, grid, ())
    assert lines == [
        "alone: best with learning_rate=0.3.",
        "dml: best with learning_rate=0.9.",
        "  learning_rate=0.9 lies on the edge of the grid: widen it, e.g. with 2.7.",
        "kd:teacher=alone,graph=ring: best with learning_rate=0.3.",
    ]
    assert command == (
        "codistill compare --recipe small --epochs 7 --learning-rate 0.3 "
        "--methods dml:learning_rate=0.9 kd:teacher=alone,graph=ring"
    )
    words = shlex.split(command)
    assert Row("dml", learning_rate=0.9) == Row(words[-2])


def test_a_method_for_which_everything_diverged_is_no_part_of_the_words():
    rows = [Tried("alone", {"learning_rate": 0.1}, (0.5,)), Tried("alone", {"learning_rate": 0.3}, (0.6,))]
    rows += [Tried("dml", {"learning_rate": rate}, (), diverged=1) for rate in (0.1, 0.3)]
    _, lines, command = said(rows, {"learning_rate": (0.1, 0.3)}, ("alone", "dml"))
    assert lines[-1] == "dml: every setting diverged for some seed; lower the learning rates."
    assert command == "codistill compare --recipe small --learning-rate 0.3"


def test_the_table_has_all_that_was_tried():
    rows = [Tried("alone", {"learning_rate": 0.1}, (0.5, 0.6)), Tried("alone", {"learning_rate": 0.3}, (0.6, 0.8))]
    rows += [Tried("dml", {"learning_rate": 0.1}, (0.5,), diverged=1), Tried("dml", {"learning_rate": 0.3}, (0.6, 0.7))]
    table = tuning_table(tuning({"learning_rate": (0.1, 0.3)}), rows)
    cells = [[cell.main for cell in row.cells] for row in table.rows]
    assert cells == [
        ["alone", "0.1", "55.00", "+15.00"],
        ["", "0.3", "70.00", "best"],
        ["dml", "0.1", "diverged in 1 of 2 seeds", "–"],
        ["", "0.3", "65.00", "best"],
    ]
    assert table.rows[0].cells[2].detail == "[-8.53, 118.53]"
    assert terminal(table)
    single = tuning_table(
        tuning({"learning_rate": (0.1, 0.3)}, seeds=1), [Tried("alone", {"learning_rate": 1}, (0.5,))]
    )
    assert single.rows[0].cells[2].detail == "–"
    assert not math.isnan(fmean((0.5,)))


# The command --------------------------------------------------------------------------------------------------------


def test_a_grid_on_the_command_line():
    assert read_grid(("epochs=40/60", "target=soft/hard", "drop-last=true/false", "select=all/confident:0.7")) == {
        "epochs": (40, 60),
        "target": ("soft", "hard"),
        "drop_last": (True, False),
        "select": ("all", "confident:0.7"),
    }


@pytest.mark.parametrize("word", ["epochs", "epochs=", "=40", "epochs=1/2 epochs=3/4"])
def test_what_is_no_grid_is_said(word):
    with pytest.raises(ValueError, match="give each setting once, with its values, such as epochs=40/60"):
        read_grid(tuple(word.split()))


def test_the_command_tunes_resumes_and_refuses(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["tune", "digits", "--quick", "--learning-rate", "0.1", "0.4", "--methods", "alone", "--seeds", "2"]
    cli.main(words)
    printed = " ".join(capsys.readouterr().out.split())
    assert "digits-quick: tried on validation data, 2 seeds (100 101)" in printed
    assert "learning rate 0.1 to 0.4" in printed
    assert "codistill compare --recipe digits --quick --learning-rate" in printed
    found = read_json(tmp_path / "runs/tune-digits-quick/tune.json")
    assert [row["settings"] for row in found["rows"]] == [{"learning_rate": 0.1}, {"learning_rate": 0.4}]
    assert found["command"] == "codistill " + " ".join(words)
    for again in (["resume", "runs/tune-digits-quick"], [*words, "--if-exists", "resume", "--json"]):
        cli.main(again)
    assert read_json(tmp_path / "runs/tune-digits-quick/tune.json") == found
    with pytest.raises(SystemExit, match="already exists: choose another --name, or --if-exists resume"):
        cli.main(words)
    with pytest.raises(SystemExit, match="nothing is to be chosen: give two or more values"):
        cli.main(["tune", "digits"])


def test_it_reads_what_is_tuned_in_the_recipes():
    found = Tuning.of(get("digits"), {"learning_rate": (0.1, 0.2)}, ("alone",))
    assert found.study.base.labels == 300
    assert len(found.trained.entries) == 3  # the recipe's own rate is trained too, as what others are compared with
