"""A comparison on your own data: nothing that was tuned for other data goes into it, and what does is said first."""

import json
from pathlib import Path

import pytest

from codistill import cli
from codistill.cli.settings import defaults
from codistill.report.verdict import headline
from codistill.run import Run
from codistill.study.plain import data_title
from codistill.study.summary import Summary
from codistill.tuned import DIGITS
from small_images import save
from test_cli import asked, refusal  # noqa: F401

FAST = ["--models", "mlp:hidden=4", "--execute", "loop", "--epochs", "3", "--batch", "8", "--seeds", "2"]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder with 40 training and 12 test images of two classes; the current folder is beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for part, n in (("train", 20), ("test", 6)):
        for number, name in enumerate(("cats", "dogs")):
            for i in range(n):
                save(tmp_path / "pets" / part / name / f"{i}.png", level=20 + i + 180 * number, size=(8, 8))
    return ["--data", "folder", "--data-root", "pets"]


def test_other_data_start_from_a_runs_own_defaults(pictures, asked):  # noqa: F811
    cli.main(["compare", *pictures])
    ((study, folder),) = asked
    assert study.base == Run(data="folder", data_root="pets")
    assert [entry.name for entry in study.entries] == ["alone", "dml:peers=2"]
    assert len(study.seeds) == 5
    assert study.spread is None
    assert not study.notes
    assert (study.recipe, folder.name) == ("folder pets", "folder-pets")


def test_the_digits_keep_what_was_tuned_for_them(pictures, asked):  # noqa: F811
    cli.main(["compare"])
    cli.main(["compare", "--data", "digits", "--epochs", "3"])
    assert [study.base for study, _ in asked] == [DIGITS, DIGITS.replace(epochs=3)]


def test_help_shows_what_will_be_used():
    assert defaults(["compare"]) == [DIGITS]
    assert defaults(["compare", "--data", "folder"]) == [Run(data="folder")]
    assert defaults(["compare", "--data=folder:x", "--help"]) == [Run(data="folder:x")]
    assert defaults(["train", "--data", "folder"], "train") == [Run()]
    assert defaults(["train"], "train") == [Run()]


def test_a_recipe_for_other_data_is_taken_over_in_so_many_words_only(pictures, asked):  # noqa: F811
    words = ["compare", "--recipe", "digits", *pictures]
    answer = refusal(*words, "--labels", "none", "--batch=8")
    assert answer == (
        "recipe 'digits' has sizes and rates for data=digits, not 'folder': leave --recipe out to start from the "
        "defaults, or say what to take over of it: --valid 300 --learning-rate 0.4 --weight-decay 0.008 --epochs 60"
    )
    cli.main([*words, *answer.partition("of it: ")[2].split(), "--labels", "none", "--batch", "8"])
    ((study, folder),) = asked
    assert (study.base.learning_rate, study.base.batch, folder.name) == (0.4, 8, "folder-pets")
    assert "digits" not in study.recipe
    assert study.notes[-1].startswith("Rows, seeds and the other settings are those of the recipe digits")
    assert refusal("train", "--recipe", "digits", *pictures).startswith("recipe 'digits' has sizes and rates")


def test_what_is_used_is_said_before_training_and_first_in_the_report(pictures, capsys, monkeypatch):
    monkeypatch.setattr("codistill.study.costs.TIMED_ROUNDS", 2)
    cli.main(["compare", *pictures, *FAST, "--valid", "0.1", "--name", "own"])
    lines = capsys.readouterr().out.splitlines()
    said = [
        "Data folder (pets), 2 classes: 36 training examples with their labels, 4 for validation (looked at after the "
        "last epoch); 12 to test on.",
        "Training: 15 steps (5 steps per epoch, 3 epochs), batch 8, sgd, learning rate 0.1, weight decay 0.0005.",
    ]
    first = lines.index(said[0])
    assert lines[first + 1] == said[1]
    assert lines[first + 2].startswith("Part 1 of 1: 8 networks, alone, dml:peers=2, seeds 0 1")
    summary = Summary.from_json(Path("runs/own/summary.json").read_text(encoding="utf-8"))
    assert headline(summary)[:2] == said
    assert said[1] in Path("runs/own/report.html").read_text(encoding="utf-8")
    assert summary.recipe == "folder pets"


def test_a_runs_report_says_it_too(pictures, capsys):
    cli.main(["train", *pictures, *FAST[:-2], "--labels", "16", "--unlabelled", "8", "--name", "own"])
    said = "16 training examples with their labels, 24 without; 12 to test on."
    assert said in capsys.readouterr().out
    assert said in Path("runs/own/report.html").read_text(encoding="utf-8")
    start = json.loads(Path("runs/own/log.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert start["sizes"] == {
        **{"train": 16, "valid": 0, "rest": 24, "test": 12, "classes": 2},
        **{"steps_per_epoch": 2, "steps": 6},
    }


@pytest.mark.parametrize(
    ("run", "title"),
    [
        (Run(data="cifar10", data_root="there"), "cifar10"),
        (Run(data="folder", data_root="../my/pets/"), "folder pets"),
        (Run(data="table:train=../ag/test.csv"), "table test.csv"),
        (Run(data="folder"), "folder"),
    ],
)
def test_titles_of_data(run, title):
    assert data_title(run) == title
