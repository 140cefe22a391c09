"""Several recipes in one command: a folder for each, one page, and mistakes that are said before anything begins."""

import json
import signal
from pathlib import Path

import pytest

from codistill import cli
from codistill.cli.settings import defaults
from codistill.study.chapters import load_chapters

RECIPES = '''
from codistill.run import Run
from codistill.study import Study

RUN = Run(models=("mlp:hidden=8",), labels=60, batch=20, epochs=2, peers=2, execute="stack")


def one() -> Study:
    """One."""
    return Study("one", RUN, ("alone", "dml:peers=2"), (0, 1), question="Is one enough?")


def two() -> Study:
    """Two."""
    return Study("two", RUN.replace(epochs=3), ("alone", "dml:peers=2"), (0, 1))
'''
BOTH = ("compare", "--recipe", "own_recipes:one", "own_recipes:two", "--name", "both")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    from codistill.study import costs

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(costs, "TIMED_ROUNDS", 2)
    monkeypatch.setattr(costs, "TIMED_NETWORKS", 4)
    (tmp_path / "own_recipes.py").write_text(RECIPES)


def refusal(*words):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    return str(stop.value.code)


def test_each_has_a_folder_and_all_have_a_page(tmp_path, capsys):
    cli.main(BOTH)
    said = capsys.readouterr().out
    folder = tmp_path / "runs" / "both"
    names = ["own_recipes-one", "own_recipes-two"]
    for name in names:
        assert (folder / name / "report.html").exists()
        assert json.loads((folder / name / "study.json").read_text())["command"] == "codistill " + " ".join(BOTH)
    assert list(load_chapters(folder).studies) == names
    assert [study.base.epochs for study in load_chapters(folder).studies.values()] == [2, 3]
    assert "Is one enough?" in (folder / "report.html").read_text()
    assert "1 of 2: Is one enough?" in said
    assert said.rstrip().endswith("Report: runs/both/report.html")

    (folder / "report.html").unlink()
    (folder / names[1] / "summary.json").unlink()
    assert "own_recipes-two is not finished: codistill resume runs/both" in refusal("report", "runs/both")
    trained = (folder / names[0] / "parts" / "000" / "log.jsonl").stat().st_mtime_ns
    cli.main(["resume", "runs/both"])
    assert (folder / "report.html").exists()
    assert (folder / names[0] / "parts" / "000" / "log.jsonl").stat().st_mtime_ns == trained

    cli.main(["report", "runs/both", "--figures"])
    for figure in ("figures/gains-and-their-intervals", *(f"{name}/figures/gain-per-seed" for name in names)):
        assert all((folder / f"{figure}.{ending}").exists() for ending in ("svg", "png", "csv"))

    for words in (["evaluate"], ["analyze"], ["evaluate", f"runs/both/{names[0]}/parts/000", "--against"]):
        assert "runs/both holds several comparisons: give one of them, such as runs/both/own_" in refusal(
            *words, "runs/both"
        )
    assert "already exists: choose another --name, or --if-exists resume" in refusal(*BOTH)
    cli.main([*BOTH, "--if-exists", "resume"])
    other = refusal(*BOTH, "--if-exists", "resume", "--seeds", "3")
    assert "runs/both holds other comparisons or settings: choose another --name" in other


def test_a_setting_that_is_given_holds_for_all_even_where_it_is_the_first_ones_own():
    cli.main([*BOTH, "--epochs", "2", "--methods", "alone"])
    assert [study.base.epochs for study in load_chapters(Path("runs/both")).studies.values()] == [2, 2]


def test_the_last_one_counts_where_the_option_is_given_twice():
    words = ["compare", "--recipe", "own_recipes:one", "--recipe"]
    assert [base.epochs for base in defaults([*words, "own_recipes:two"])] == [3]
    assert [base.epochs for base in defaults([*words, "own_recipes:two", "own_recipes:one", "--quick"])] == [1, 1]
    assert [base.epochs for base in defaults(["train", "--recipe=own_recipes:two"])] == [3]


@pytest.mark.parametrize(
    ("recipes", "words"),
    [
        (["own_recipes:one", "own_recipes:one"], "recipe='own_recipes:one' is given twice: leave one out"),
        (["digits", "digit"], "no recipe is called 'digit': did you mean 'digits'"),
        ([], "recipe is empty: name one or several"),
    ],
)
def test_mistakes_are_said_before_anything_begins(recipes, words, tmp_path):
    assert words in refusal("compare", "--recipe", *recipes)
    assert not (tmp_path / "runs").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    folder = tmp_path / "runs" / "both"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    assert refusal(*BOTH, "--if-exists", "resume").endswith("runs/both already exists: choose another --name")


def test_settings_that_do_not_fit_leave_no_folder_behind(tmp_path):
    assert "batch=5000" in refusal(*BOTH, "--batch", "5000")
    assert not (tmp_path / "runs").exists()


def test_what_was_broken_off_is_resumed_as_a_whole(tmp_path, monkeypatch, capsys):
    from codistill.report.progress import Display

    show, shown = Display.show, []

    def interrupted(display, record):
        shown.append(record)
        if record.kind == "step" and len(shown) > 4:
            signal.raise_signal(signal.SIGINT)
        show(display, record)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "show", interrupted)
        with pytest.raises(SystemExit) as stop:
            cli.main(BOTH)
    assert stop.value.code == 130
    assert "codistill resume runs/both\n" in capsys.readouterr().out
    assert not (tmp_path / "runs" / "both" / "own_recipes-two").exists()
    cli.main(["resume", "runs/both"])
    assert (tmp_path / "runs" / "both" / "own_recipes-two" / "report.html").exists()
    assert (tmp_path / "runs" / "both" / "report.html").exists()


def test_all_are_run_before_the_end_says_that_one_has_learnt_nothing(monkeypatch, tmp_path):
    from rich.console import Console

    from codistill.cli import chapters
    from codistill.run import Run
    from codistill.study import Study
    from codistill.study.chapters import Chapters

    run = []
    monkeypatch.setattr(chapters, "follow", lambda _, folder, *a, **b: run.append(folder.name) or folder.name != "one")
    monkeypatch.setattr(chapters, "write_page_of", lambda *_: run.append("page"))
    study = Study("s", Run(), ("dml",), (0, 1))
    with pytest.raises(SystemExit) as stop:
        chapters.run_chapters(Chapters({"one": study, "two": study}), tmp_path, Console(quiet=True))
    assert run == ["one", "two", "page"]
    assert stop.value.code == 3
