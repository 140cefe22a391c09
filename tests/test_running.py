"""Running a training: what it would need, what is said of it, and what can be known to be wrong before."""

import json
from importlib.metadata import version

import pytest

from codistill import cli, recipes
from codistill.study import Row, Study, compare
from codistill.study.beforehand import check_rows
from codistill.tuned import DIGITS
from test_cli import refusal

QUICK = ["--labels", "200", "--batch", "20", "--models", "mlp:hidden=32", "--execute", "loop", "--epochs", "2"]
SHORT = DIGITS.replace(labels=60, valid=0.0, evaluate_every=0, epochs=1, batch=20, models=("mlp:hidden=4",))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("words", [["train"], ["compare", "--seeds", "2", "--valid", "0", "--evaluate-every", "0"]])
def test_a_dry_run_says_what_is_needed_and_leaves_nothing_behind(words, tmp_path, capsys):
    cli.main([*words, *QUICK, "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Data digits, 10 classes: 200 training examples with their labels, ")
    assert lines[-1].startswith("Estimate: ")
    assert "checkpoints" in lines[-1]
    assert not list(tmp_path.iterdir())


def test_json_is_a_record_per_line_and_quiet_is_nothing(tmp_path, capsys):
    cli.main(["train", *QUICK, "--json", "--name", "a"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["start", "epoch", "epoch", "checkpoint", "end", "report"]
    assert lines[0]["settings"]["batch"] == 20
    assert (tmp_path / lines[-1]["report"]).exists()
    cli.main(["train", *QUICK, "--quiet", "--name", "b"])
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "runs/b/report.html").exists()
    assert refusal("train", "--quiet", "--json").startswith("--quiet prints nothing, --json one record per line")


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        (Row("dml", unlabelled=950), r"row 'dml.*unlabelled=950: only 940 examples are left without a label"),
        (Row("dml", labels=1000, unlabelled=5), r"row 'dml.*no example is left without a label"),
        (Row("dml", data="folder", data_root="nowhere"), r"row 'dml.*nowhere"),
        (Row("dml", models=("mlp:hidden=4", "resnet20:shortcut=x")), r"row '.*shortcut"),
        (Row("alone", shards="equal", peers=2, batch=40), r"row 'alone.*the smallest of 2 shards has 30 examples"),
    ],
)
def test_what_is_wrong_with_a_later_row_is_said_before_the_first_is_trained(row, answer, tmp_path):
    study = Study("s", SHORT, (Row("alone"), row), (0, 1), stacked=False)
    with pytest.raises((ValueError, OSError), match=answer) as caught:
        next(compare(study, tmp_path / "s"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s").exists()


def test_nothing_is_wrong_with_rows_of_different_data_and_networks():
    rows = (Row("alone"), Row("dml", unlabelled=60), Row("dml", models=("mlp:hidden=4", "mlp:hidden=5"), batch=10))
    check_rows(Study("s", SHORT, rows, (0, 1)), {})


# Beside it ------------------------------------------------------------------------------------------------------------


def test_the_version_and_what_can_be_listed(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"codistill {version('codistill')}\n"
    cli.main(["list"])
    assert capsys.readouterr().out.splitlines()[:2] == ["codistill list methods", "codistill list models"]


def test_show_of_a_recipe_says_what_it_compares_beside_the_settings(capsys):
    cli.main(["show", "--recipe", "digits", "--epochs", "3"])
    said = capsys.readouterr()
    assert json.loads(said.out)["epochs"] == 3
    lines = said.err.splitlines()
    networks = 10 * 2 * (4 + 4 + 2 + 4 + 4 + 4)
    assert lines[0] == (
        f"Comparison digits: 6 rows, 10 seeds (0 1 2 3 4 5 6 7 8 9), each trained 2 times, {networks} networks in all, "
        "3 epochs (--dry-run counts their steps)."
    )
    assert "  DML, 2 networks: 2 networks, 2.0 times one network alone" in lines
    passes = 20 * (4 + 4 + 2 + 4 + 4 + 4 * (2 + 2) / 3)  # kd: the teacher's forward pass is a third of a step more
    assert lines[-1].startswith(f"In all it costs about as much as training {passes:.0f} networks alone")


def test_show_prints_settings_that_only_a_run_of_the_recipe_may_have(capsys):
    cli.main(["show", "--recipe", "digits", "--seed", "3"])
    said = capsys.readouterr()
    assert json.loads(said.out)["seed"] == 3
    assert said.err.startswith("No comparison has these settings, only train: a comparison has many methods, seeds")
    assert "networks in all" not in said.err


def test_a_recipe_is_taken_home_and_runs_from_there(tmp_path, capsys):
    cli.main(["copy", "kd_zoo:data=cifar100", "mine/zoo.py"])
    assert "codistill compare --recipe mine/zoo.py:kd_zoo,data=cifar100" in capsys.readouterr().out
    mine = tmp_path / "mine" / "zoo.py"
    mine.write_text(mine.read_text(encoding="utf-8") + "\nCHANGED = True\n", encoding="utf-8")
    assert recipes.get("mine/zoo.py:kd_zoo,data=cifar100") == recipes.get("kd_zoo:data=cifar100")
    cli.main(["copy", "silos", "silos.py"])
    assert "say which of its recipes: silos.py:few_labels or silos.py:same_labels or" in refusal(
        "show", "--recipe", "silos.py"
    )
    assert recipes.get("silos.py:views,parts=4") == recipes.get("views:parts=4")
    assert refusal("copy", "silos", "silos.py") == "silos.py already exists: choose another name"
    assert "there is no file nowhere.py" in refusal("show", "--recipe", "nowhere.py")


def test_several_runs_come_into_one_report(tmp_path, capsys):
    for name, decay in (("a", "0.001"), ("b", "0.01")):
        cli.main(["train", *QUICK, "--weight-decay", decay, "--quiet", "--name", name])
    capsys.readouterr()
    cli.main(["report", "runs/a", "runs/b", "--out", "both"])
    text = capsys.readouterr().out
    assert "dml, weight decay 0.001, seed 0" in " ".join(text.split())
    assert "Report: both/report.html" in text
    page = (tmp_path / "both" / "report.html").read_text(encoding="utf-8")
    assert page.count("dml, weight decay 0.01<") > 1
    assert refusal("report", "runs/a", "runs/b", "--out", "both").endswith("already exists: choose another --out")
    assert "say where with --out" in refusal("report", "runs/a", "runs/b")


def test_the_doctor_says_what_there_is(capsys):
    cli.main(["doctor"])
    text = capsys.readouterr().out
    for part in (
        f"torch {version('torch')}",
        "torch uses",
        "--device auto is",
        "a resumed run ended where the unbroken",
    ):
        assert part in text


def test_completion_is_printed(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--tyro-print-completion", "bash"])
    assert "doctor" in capsys.readouterr().out
