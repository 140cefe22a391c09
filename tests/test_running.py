"""Running a training: what it would need, what is said of it while it goes, and what can be known to be wrong before."""

import json

import pytest

from codistill import cli
from codistill.study import Row, Study, compare
from codistill.study.beforehand import check_rows
from codistill.tuned import DIGITS
from test_cli import QUICK, refusal

SHORT = DIGITS.replace(labels=60, valid=0.0, evaluate_every=0, epochs=1, batch=20, models=("mlp:hidden=4",))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("words", [["train"], ["compare", "--seeds", "2", "--valid", "0", "--evaluate-every", "0"]])
def test_a_dry_run_says_what_is_needed_and_leaves_nothing_behind(words, tmp_path, capsys):
    cli.main([*words, *QUICK, "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Data digits, 10 classes: 60 training examples with their labels, ")
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
    check_rows(Study("s", SHORT, rows, (0, 1)))
