"""The command line, in the same process where that will do and in one of its own where it will not."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import warnings

import pytest
import torch

from codistill import cli, discovery
from codistill.checkpoint import latest
from codistill.cli.commands import COMMANDS
from codistill.files import read_lines
from codistill.run import Run
from codistill.training.records import read_log

SMALL = ["--labels", "60", "--batch", "20", "--models", "mlp:hidden=32", "--execute", "stack"]
QUICK = [*SMALL, "--epochs", "2"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    from codistill.study import costs

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(costs, "TIMED_ROUNDS", 2)
    monkeypatch.setattr(costs, "TIMED_NETWORKS", 4)


@pytest.fixture
def said(capsys):
    """What a command prints."""

    def run(*words):
        cli.main(words)
        return capsys.readouterr().out

    return run


def refusal(*words):
    """The one line that a command ends with; its exit code is then 1."""
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert isinstance(stop.value.code, str), f"exit code {stop.value.code}"
    assert stop.value.code.startswith("codistill: error: ")
    assert "\n" not in stop.value.code
    return stop.value.code.removeprefix("codistill: error: ")


def process(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "codistill", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},  # other numbers round differently
    )


# Help and lists -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["compare", "--help"]])
def test_help_imports_no_torch(words):
    script = f"import sys\nfrom codistill.cli import main\ntry:\n    main({words})\nexcept SystemExit as stop:\n"
    script += "    assert not stop.code\n    assert 'torch' not in sys.modules\nelse:\n    assert False"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "usage: codistill" in done.stdout


def help_of(capsys, *words):
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    return capsys.readouterr().out


def test_help_explains_every_setting_and_shows_what_it_may_be(capsys):
    text = help_of(capsys, "train")
    for field in dataclasses.fields(Run):
        assert f"--{field.name.replace('_', '-')}" in text
    assert "{together,in_turn,fresh_batch}" in text
    assert re.search(r"Peak learning rate\. +\(default: 0.1\)", " ".join(text.split()))
    assert "Settings of the run. What is not given is the recipe's." in text


def test_help_shows_a_recipes_settings_as_defaults(capsys):
    assert re.search(
        r"--learning-rate FLOAT .*\(default: 0.4\)", " ".join(help_of(capsys, "train", "--recipe=digits").split())
    )
    text = " ".join(help_of(capsys, "compare", "--recipe", "kd_zoo", "--quick").split())
    assert re.search(r"--models \[SPEC .*\(default: resnet20\)", text)
    assert re.search(r"--epochs INT [^-]*\(default: 1\)", text)


@pytest.mark.parametrize("error", [ValueError("one"), OSError("two")])
def test_a_traceback_is_shown_where_it_is_asked_for(error, monkeypatch):
    def command(*_):
        raise error

    monkeypatch.setattr(COMMANDS["list"], "__call__", command)
    assert refusal("list", "models") == str(error)
    monkeypatch.setenv("CODISTILL_DEBUG", "1")
    with pytest.raises(type(error), match=str(error)):
        cli.main(["list", "models"])


@pytest.mark.parametrize("what", ["methods", "models", "data", "recipes"])
def test_a_list_names_everything_that_there_is(what, said):
    text = said("list", what)
    for name in discovery.available(f"codistill.{what}"):
        assert re.search(rf"^\s*{name}\b", text, re.M), name


# Settings -----------------------------------------------------------------------------------------------------------

OTHER = {
    "data": ("mnist", "mnist"),
    "data_root": ("there", "there"),
    "labels": ("70", 70),
    "limit": ("80", 80),
    "models": ("cnn mlp:hidden=3", ["cnn", "mlp:hidden=3"]),
    "peers": ("2", 2),
    "branch_at": ("stage3", "stage3"),
    "method": ("dml:weight=2", "dml:weight=2"),
    "update": ("in_turn", "in_turn"),
    "shards": ("classes:per=5", "classes:per=5"),
    "noise": ("symmetric:0.4", "symmetric:0.4"),
    "steps": ("500", 500),
    "augment": ("crop:pad=1 flip", ["crop:pad=1", "flip"]),
    "optimizer": ("adam", "adam"),
    "betas": ("0.8 0.9", [0.8, 0.9]),
    "schedule": ("step:at=0.5", "step:at=0.5"),
    "clip": ("1.5", 1.5),
    "execute": ("loop", "loop"),
    "threads": ("3", 3),
    "embedding": ("pool", "pool"),
    "precision": ("float64", "float64"),
    "on_divergence": ("skip", "skip"),
    "keep": ("best_valid", "best_valid"),
    "device": ("cpu", "cpu"),
}


def changed(field):
    """Words for a field's flag, and the value in JSON that they come to."""
    flag = "--" + field.name.replace("_", "-")
    if isinstance(field.default, bool):
        return [flag.replace("--", "--no-" if field.default else "--", 1)], not field.default
    if field.name in OTHER:
        text, value = OTHER[field.name]
        return [flag, *text.split()], value
    assert isinstance(field.default, int | float), f"{field.name}: say in OTHER what else it may be"
    value = type(field.default)(field.default * 2 + (3 if isinstance(field.default, int) else 0.25))
    return [flag, str(value)], value


@pytest.mark.parametrize("field", dataclasses.fields(Run), ids=lambda field: field.name)
def test_every_setting_has_a_flag_that_arrives(field, said):
    words, value = changed(field)
    shown = json.loads(said("show", *words))
    assert shown[field.name] == value
    expected = {**Run().as_dict(), field.name: value}
    assert shown == expected
    assert Run.from_dict(shown).as_dict() == expected


@pytest.mark.parametrize("field", dataclasses.fields(Run), ids=lambda field: field.name)
def test_every_setting_overrides_the_recipes(field, said):
    words, value = changed(field)
    base = json.loads(said("show", "--recipe", "digits"))
    assert base["labels"] == 300
    assert json.loads(said("show", "--recipe", "digits", *words)) == {**base, field.name: value}


def test_a_setting_at_its_default_overrides_the_recipes_too(said):
    assert json.loads(said("show", "--recipe", "digits", "--epochs=40", "--labels", "none"))["epochs"] == 40
    assert json.loads(said("show", "--recipe", "digits", "--labels", "none"))["labels"] is None
    assert json.loads(said("show", "--recipe", "digits", "--labels=none"))["labels"] is None
    assert json.loads(said("show", "--recipe", "digits", "--learning_rate", "0.1"))["learning_rate"] == 0.1


# Misspelt -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("compare --method dml --seed 3", "use --methods and --seeds"),
        ("train --method dlm", "no method is called 'dlm': did you mean 'dml'"),
        ("train --method dml:wieght=2", "no option of method 'dml' is called 'wieght': did you mean 'weight'"),
        ("train --models cn", "no model is called 'cn': did you mean 'cnn'"),
        ("train --models cnn:widht=3", "did you mean 'width'?"),
        ("train --data digit", "no data is called 'digit': did you mean 'digits'?"),
        ("train --recipe digts", "no recipe is called 'digts': did you mean 'digits'"),
        ("compare --recipe digts", "no recipe is called 'digts': did you mean 'digits'"),
        ("compare --recipe digits:seeds=3", "no option of recipe 'digits' is called 'seeds'"),
        ("compare --methods dlm", "no method is called 'dlm': did you mean 'dml'"),
        ("train --schedule cosin", "no schedule is called 'cosin': did you mean 'cosine'"),
        ("train --augment flop", "did you mean 'flip'"),
        ("train --peers 1", "peers=1: 'dml' has nobody to learn from; set peers to 2 or more, or method to alone"),
        ("train --labels 5000", "labels=5000, but there are only 1000 labelled examples: lower it"),
        ("compare --seeds 0", "seeds=0: give the number of seeds, at least 1"),
        ("resume nowhere", "nowhere does not exist: no run is there"),
        ("evaluate nowhere", "nowhere does not exist"),
        ("report nowhere", "nowhere does not exist"),
    ],
)
def test_what_is_misspelt_or_cannot_be_gets_one_line_and_leaves_nothing_behind(words, answer, tmp_path):
    assert answer in refusal(*words.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("", "codistill"),
        ("trian", "compare, train, resume, evaluate"),
        ("train --labls 3", "Perhaps you meant: --labels"),
        ("train --learning-rat=3", "Perhaps you meant: --learning-rate"),
        ("compare --seedz 3", "--seeds"),
        ("train --update in_trun", "'together', 'in_turn', 'fresh_batch'"),
        ("train --precision float", "'float32', 'bfloat16', 'float64'"),
        ("train --peers 0", "peers=0: give a whole number of at least 1"),
        ("train --models cnn mlp cnn", "models='cnn mlp cnn' are 3 networks for peers=2"),
        ("train --method :weight=2", "spec ':weight=2': the name is missing"),
        ("show --peers x", "--peers"),
        ("list modls", "modls"),
        ("analyze nowhere --exampels 3", "Perhaps you meant: --examples"),
        ("evaluate a --part tset", "tset"),
        ("train spare", "spare"),
    ],
)
def test_what_the_command_line_cannot_be_is_said_in_a_box(words, answer, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words.split())
    assert stop.value.code == 2
    assert answer in " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().err).split())


def test_a_mistakes_exit_code_and_words_as_the_shell_sees_them():
    done = process("train", "--method", "dlm")
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out) == (1, "")
    assert re.fullmatch(r"codistill: error: no method is called 'dlm': did you mean 'dml'.*\?\n", err)


# Training -----------------------------------------------------------------------------------------------------------


def test_training_leaves_a_folder_with_results_and_report(said, tmp_path):
    text = said("train", *QUICK, "--name", "first")
    folder = tmp_path / "runs" / "first"
    assert {p.name for p in folder.iterdir()} == {
        "runs.json",
        "networks.json",
        "decisions.safetensors",
        "log.jsonl",
        "results.jsonl",
        "report.html",
        "checkpoints",
    }
    rows = read_lines(folder / "results.jsonl")
    assert all(f"{row['accuracy'] * 100:.2f}" in text for row in rows if row.get("kind") != "pairs")
    assert "runs/first/report.html" in text


def test_a_runs_folder_is_named_by_what_it_is(said, tmp_path):
    said("train", *QUICK, "--method", "dml:temperature=2", "--seed", "3", "--runs", "here")
    assert [p.name for p in (tmp_path / "here").iterdir()] == [
        "digits-dml-temperature=2-peers=2-seed=3-labels=60-models=mlp-hidden=32-epochs=2-batch=20"
    ]


def test_a_folder_that_is_there_is_refused_and_not_touched(said, tmp_path):
    said("train", *QUICK, "--name", "first")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    answer = refusal("train", *QUICK, "--name", "first")
    assert answer == "runs/first already exists: codistill resume runs/first, or choose another --name"
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_resuming_a_finished_run_shows_its_results_again(said, tmp_path):
    said("train", *QUICK, "--name", "first")
    results = (tmp_path / "runs/first/results.jsonl").read_text()
    text = said("resume", "runs/first")
    assert "resuming from step 6 of 6" in text
    assert f"{json.loads(results.splitlines()[0])['accuracy'] * 100:.2f}" in text
    assert (tmp_path / "runs/first/results.jsonl").read_text() == results


def test_evaluating_measures_a_part_of_the_data(said, tmp_path):
    said("train", *QUICK, "--valid", "100", "--name", "first")
    rows = read_lines(tmp_path / "runs/first/results.jsonl")
    text = said("evaluate", "runs/first", "--part", "test")
    assert "test part, 797 examples" in text
    for row in rows:
        if row.get("kind") != "pairs":
            assert re.search(rf"{row['accuracy'] * 100:.2f} +{row['top5'] * 100:.2f} +{row['nll']:.3f}", text)
    assert "valid part, 100 examples" in said("evaluate", "runs/first")
    assert "train part, 60 examples" in said("evaluate", "runs/first", "--part", "train")


def test_evaluating_measures_what_there_is_and_names_networks_by_their_model(said):
    said("train", *QUICK, "--name", "first")
    text = said("evaluate", "runs/first")
    assert "Measured on the test part: no validation part was held out." in text
    assert "test part, 797 examples" in text
    assert re.search(r"^network 1 \(mlp:hidden=32\) ", text, re.M)
    assert "part='valid' is empty" in refusal("evaluate", "runs/first", "--part", "valid")


def test_the_validation_accuracy_is_in_the_progress_and_in_the_log(said, tmp_path):
    text = said("train", *QUICK, "--valid", "0.2", "--evaluate-every", "1", "--name", "first")
    lines = [line for line in read_log(tmp_path / "runs/first") if line["kind"] == "epoch"]
    for line in lines:
        assert f"valid {sum(line['valid_accuracy']) / 2:.2%}" in text
    text = said("evaluate", "runs/first")
    assert "Measured on the valid part: held out in training; --part test for the test set." in text
    assert "valid part, 200 examples" in text


def test_a_report_is_written_again(said, tmp_path):
    said("train", *QUICK, "--name", "first")
    report = tmp_path / "runs/first/report.html"
    report.unlink()
    assert "Report: runs/first/report.html" in said("report", "runs/first")
    assert report.exists()


# Comparing ----------------------------------------------------------------------------------------------------------

COMPARE = ["compare", *QUICK, "--valid", "0", "--evaluate-every", "0", "--methods", "dml", "kd", "--seeds", "2"]
COMPARE += ["--retrainings", "1"]


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of a finished comparison."""
    from codistill.study import costs

    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(costs, "TIMED_ROUNDS", 2)
        cli.main([*COMPARE, "--name", "two"])
    return folder / "runs" / "two"


def test_comparing_leaves_a_folder_with_everything(compared):
    assert {p.name for p in compared.iterdir()} == {
        "study.json",
        "parts",
        "results.jsonl",
        "costs.json",
        "summary.json",
        "examples.json",
        "report.html",
        "report.md",
    }
    summary = json.loads((compared / "summary.json").read_text())
    assert [row["method"] for row in summary["rows"]] == ["alone", "dml:peers=2", "kd:teacher=alone,graph=ring"]
    assert summary["seeds"] == [0, 1]
    assert summary["command"] == " ".join(["codistill", *COMPARE, "--name", "two"])
    assert summary["settings"]["epochs"] == 2
    assert summary["settings"]["learning_rate"] == 0.4  # the recipe's


@pytest.fixture
def asked(monkeypatch):
    """The comparisons that the command line asks for, with their folders."""
    seen = []
    monkeypatch.setattr("codistill.study.compare", lambda study, folder, **_: seen.append((study, folder)))
    monkeypatch.setattr("codistill.cli.commands.compare.follow", lambda *_, **__: True)
    return seen


def test_figures_of_others_stand_beside_the_data_that_they_are_of(asked):
    cli.main(["compare", "--recipe", "kd_zoo", "--quick", "--data-root", "x"])
    cli.main(["compare", "--recipe", "kd_zoo", "--quick", "--data", "cifar100"])
    cli.main(["compare", "--recipe", "kd_zoo:data=cifar100", "--quick"])
    own, other, proper = (study for study, _ in asked)
    assert own.published
    assert not other.published
    assert proper.published not in ((), own.published)
    assert [folder.name for _, folder in asked] == [
        "kd_zoo-quick",
        "cifar100-quick",
        "kd_zoo-quick-data=cifar100",
    ]


def test_settings_that_are_not_the_recipes_are_said_below_the_table(asked):
    cli.main(["compare", "--epochs", "3", "--augment", "crop:pad=1", "flip", "--device", "cpu", "--labels", "300"])
    cli.main(["compare", "--data-root", "elsewhere"])
    (changed, _), (same, _) = asked
    assert changed.notes[-1] == "Other settings than the recipe's: augment=crop:pad=1 flip epochs=3."
    assert changed.recipe == "digits"
    assert not any("Other settings" in note for note in same.notes)


def test_one_number_is_so_many_seeds_and_several_are_themselves(asked):
    for words in (["3"], ["4", "7"]):
        cli.main(["compare", "--seeds", *words])
    assert [study.seeds for study, _ in asked] == [(0, 1, 2), (4, 7)]


def test_a_comparison_that_is_there_is_refused_or_gone_on_with(compared, monkeypatch, capsys):
    monkeypatch.chdir(compared.parents[1])
    answer = refusal(*COMPARE, "--name", "two")
    assert answer.startswith("runs/two already exists: choose another --name, or --if-exists resume")
    answer = refusal(*COMPARE, "--name", "two", "--if-exists", "resume", "--epochs", "3")
    assert answer == "runs/two holds a comparison with other settings: choose another --name"
    before = (compared / "results.jsonl").read_text()
    capsys.readouterr()
    cli.main([*COMPARE, "--name", "two", "--if-exists", "resume"])
    assert "Report: runs/two/report.html" in capsys.readouterr().out
    assert (compared / "results.jsonl").read_text() == before


def test_a_comparisons_report_is_written_again(compared, capsys):
    (compared / "report.html").unlink()
    cli.main(["report", str(compared)])
    assert (compared / "report.html").exists()
    cli.main(["resume", str(compared)])
    assert "test accuracy, 2 seeds" in capsys.readouterr().out


def test_a_part_of_a_comparison_can_be_evaluated(compared, capsys):
    cli.main(["evaluate", str(compared / "parts" / "000"), "--part", "test"])
    assert "797 examples" in capsys.readouterr().out


# Ctrl-C -------------------------------------------------------------------------------------------------------------


def interrupted(words, line):
    """Run a command, press Ctrl-C when it prints a line; its output and exit code."""
    running = process(*words)
    assert running.stdout is not None
    out = ""
    for printed in running.stdout:
        out += printed
        if re.search(line, printed):
            running.send_signal(signal.SIGINT)
            break
    rest, err = running.communicate(timeout=60)
    assert "Traceback" not in err, err
    return out + rest, running.returncode


LONG = [*SMALL, "--epochs", "60", "--learning-rate", "0.01"]


def test_ctrl_c_while_training_leaves_what_resuming_finishes(said, tmp_path):
    text, code = interrupted(["train", *LONG, "--name", "broken"], r"step \d+ of 180")
    assert code == 130
    assert re.search(
        r"Stopped after step \d+ of 180. Nothing is lost. Resume with:\n  codistill resume runs/broken", text
    )
    stopped = int(latest(tmp_path / "runs/broken").name.removeprefix("step-"))
    assert 36 <= stopped < 180
    unfinished = f"Not finished: step {stopped} of 180. Resume with:\n  codistill resume runs/broken"
    for words in (["evaluate", "runs/broken", "--part", "test"], ["report", "runs/broken"]):
        assert unfinished in said(*words)
    assert f"resuming from step {stopped} of 180" in said("resume", "runs/broken")
    assert "Not finished" not in said("evaluate", "runs/broken", "--part", "test")
    said("train", *LONG, "--name", "whole")
    results = [(tmp_path / "runs" / name / "results.jsonl").read_text() for name in ("broken", "whole")]
    assert results[0] == results[1]


def test_ctrl_c_while_comparing_leaves_what_resuming_finishes(said, tmp_path):
    words = ["compare", *LONG, "--valid", "0", "--evaluate-every", "0", "--methods", "dml", "kd", "--seeds", "2"]
    words += ["--retrainings", "1"]
    text, code = interrupted([*words, "--name", "broken"], r"^Part 2 of 2")
    assert code == 130
    assert "Nothing is lost. Resume with:\n  codistill resume runs/broken" in text
    assert not (tmp_path / "runs/broken/summary.json").exists()
    assert "Part 2 of 2" in said("resume", "runs/broken")
    said(*words, "--name", "whole")
    results = [(tmp_path / "runs" / name / "results.jsonl").read_text() for name in ("broken", "whole")]
    assert results[0] == results[1]
    rows = [json.loads((tmp_path / "runs" / n / "summary.json").read_text())["rows"] for n in ("broken", "whole")]
    assert [row["gain_ci95"] for row in rows[0]] == [row["gain_ci95"] for row in rows[1]]


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line_without_the_place_in_the_code(monkeypatch, capsys):
    before = warnings.showwarning

    def command(self, *rest):
        warnings.warn("two rows are left out:\n  b.csv line 3", stacklevel=1)

    monkeypatch.setattr(COMMANDS["list"], "__call__", command)
    cli.main(["list", "models"])
    assert capsys.readouterr().err == "codistill: warning: two rows are left out: b.csv line 3\n"
    assert warnings.showwarning is before


def test_trainings_on_the_same_labels_and_what_seeds_can_see(asked, compared, capsys):
    cli.main(["compare"])
    assert re.search(r"10 seeds detect a true gain of 0\.\d\d points or more in four of five", flat(capsys))
    cli.main(["compare", "--seeds", "4", "--retrainings", "1", "--labels", "200"])
    assert "How small a gain 4 seeds can detect is not known yet" in flat(capsys)
    cli.main(["compare", "--seeds", "4", "--labels", "200", "--pilot", str(compared)])
    assert "4 seeds detect a true gain of" in flat(capsys)
    cli.main(["compare", "--quick"])
    assert "true gain" not in flat(capsys)
    assert [study.retrainings for study, _ in asked] == [2, 1, 2, 2]
    assert refusal("compare", "--retraining", "1").endswith("use --methods and --seeds, or --retrainings")
    assert refusal("compare", "--retrainings", "0").startswith("retrainings=0: give a whole number")
    assert "No such file" in refusal("compare", "--pilot", "nowhere")


def flat(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_a_reader_that_ends_early_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "codistill", "show", "--recipe", "digits"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE
    assert "error" not in done.stderr.lower()
