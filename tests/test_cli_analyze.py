"""`codistill analyze`, and the warnings of the KL watch after training."""

import json

import pytest

from codistill import cli
from report.test_page import of
from test_cli import QUICK, refusal

SOUND = [*QUICK, "--epochs", "4", "--learning-rate", "0.3"]  # long enough for the imitation loss to matter
LEAN = ["--examples", "20", "--draws", "2", "--probes", "2"]


@pytest.fixture(autouse=True)
def _wide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def said(capsys):
    def run(*words):
        cli.main(words)
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of a finished comparison, and what was printed."""
    from codistill.study import costs

    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(costs, "TIMED_ROUNDS", 1)
        patch.setattr(costs, "TIMED_NETWORKS", 2)
        cli.main(["compare", *SOUND, "--valid", "0", "--evaluate-every", "0", "--methods", "dml", "--seeds", "2"])
    return folder / "runs" / "digits"


def test_an_analysis_is_written_into_the_comparisons_folder(compared, said):
    before = {p.name for p in compared.iterdir()}
    text = said("analyze", str(compared), *LEAN)
    assert {p.name for p in compared.iterdir()} == before | {"analysis.json", "analysis.html"}
    for part in (
        "Is the training loss lower?",
        "Is the minimum wider?",
        "Is the minimum flatter?",
        "Are the networks less certain?",
        "How far do peers differ",
        "Does the imitation loss do anything?",
        "DML, 2 networks",
    ):
        assert part in text
    analysis = json.loads((compared / "analysis.json").read_text())
    assert analysis["settings"]["examples"] == 20
    assert f"analyze {compared}" in of(compared / "analysis.html").text
    again = said("analyze", str(compared), *LEAN, "--skip", "noise", "surface", "path", "--networks", "1")
    assert "Is the minimum wider?" not in again
    assert len(json.loads((compared / "analysis.json").read_text())["networks"]) == 4


def test_what_somebody_else_wrote_is_not_touched(compared, tmp_path):
    (tmp_path / "analysis.html").write_text("mine")
    answer = refusal("analyze", str(compared), *LEAN, "--out", str(tmp_path))
    assert answer == f"{tmp_path}/analysis.html exists and was not made by analyze: move it, or choose another --out"
    assert (tmp_path / "analysis.html").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["analysis.html"]


def test_several_runs_go_to_a_folder_of_their_own(said, tmp_path):
    for method in ("alone", "dml"):
        said("train", *QUICK, "--method", method, "--name", method)
    words = ["analyze", "runs/alone", "runs/dml", *LEAN, "--skip", "hessian", "surface", "path"]
    assert "say where with --out FOLDER" in refusal(*words)
    text = said(*words, "--out", "both")
    assert "Analysis: both/analysis.html" in text
    assert {p.name for p in (tmp_path / "both").iterdir()} == {"analysis.json", "analysis.html"}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("analyze nowhere", "nowhere does not exist"),
        ("analyze nowhere --draws 1", "draws=1: give a whole number of at least 2"),
    ],
)
def test_mistakes_get_one_line_and_leave_nothing_behind(words, answer, tmp_path):
    assert answer in refusal(*words.split())
    assert not list(tmp_path.iterdir())


def test_a_term_that_is_too_small_is_warned_of_after_training_in_one_line(said, tmp_path):
    text = said("train", *QUICK, "--epochs", "4", "--method", "dml:weight=0.0001", "--name", "weak")
    (line,) = [line for line in text.splitlines() if line.startswith("Warning: ")]
    assert "the imitation loss of peer 0, peer 1 is too small to matter" in line
    assert "To change: raise weight" in line
    page = of(tmp_path / "runs/weak/report.html")
    assert "Does the imitation loss do anything?" in page.text
    assert "too small to matter" in page.text


def test_a_sound_run_is_not_warned_of(said, tmp_path):
    assert "Warning" not in said("train", *SOUND, "--name", "sound")
    assert "the imitation loss does something" in of(tmp_path / "runs/sound/report.html").text
    assert "Warning" not in said("train", *SOUND, "--method", "alone", "--name", "alone")
    assert "Does the imitation loss do anything?" not in of(tmp_path / "runs/alone/report.html").text
