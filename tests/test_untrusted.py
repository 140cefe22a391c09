"""A stranger's folder runs nothing, writes nowhere else, and what is wrong with it is one line."""

import json
import os
import sys
from contextlib import suppress

import pytest

from codistill import cli, discovery
from codistill.checkpoint import read_runs
from codistill.files import Damaged, read_json, without_controls, write, write_json
from codistill.run import Run
from codistill.study import Summary
from crash_points import BASE, compares, trains


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run and a comparison."""
    home = tmp_path_factory.mktemp("finished")
    trains(BASE)(home / "run")
    compares(["dml"])(home / "study")
    return home


@pytest.fixture
def stranger(finished, tmp_path, monkeypatch):
    """Copies of both, in a folder with a module that must not be imported, from which commands are run."""
    import shutil

    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('imported').touch()\nraise ImportError('evil')\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "imported").exists()
    assert "evil" not in sys.modules


def change(path, **settings):
    """Other settings in a file of runs, and no checksum."""
    write(path, json.dumps([run.as_dict() | settings for run in read_runs(path.parent)]))


def refused(*words):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    said = str(stop.value.code)
    assert said.startswith("codistill: error: ")
    assert "\n" not in said
    return said


def ended(*words):
    """What a command ends with, where that is an error."""
    try:
        cli.main(words)
    except SystemExit as stop:
        return str(stop.code)
    return ""


@pytest.mark.parametrize("command", ["evaluate", "resume", "analyze"])
@pytest.mark.parametrize(
    "setting",
    [
        {"data": "subprocess:run,args=touch imported,shell=true"},
        {"data": "evil:data"},
        {"method": "evil:Method"},
        {"models": ["evil:net"]},
        {"method": "dml:graph=evil;graph"},
        {"schedule": "evil:rate"},
        {"augment": ["evil:crop"]},
    ],
    ids=str,
)
def test_what_a_folder_names_is_not_imported(command, setting, stranger):
    change(stranger / "run" / "runs.json", **setting)
    said = refused(command, "run")
    if "graph" not in str(setting):
        assert "--trust" in said or "of Python's standard library" in said


def test_the_folder_of_a_teacher_is_not_trusted_either(stranger):
    change(stranger / "run" / "runs.json", models=["evil:net"])
    assert "evil" in refused("train", "--method", "kd:teacher=run", "--labels", "40", "--batch", "20", "--epochs", "1")


@pytest.mark.parametrize("recipes", [["digits"], ["digits", "few_labels"]], ids="+".join)
def test_a_comparisons_teacher_is_not_trusted_either(recipes, stranger):
    change(stranger / "run" / "runs.json", models=["evil:net"])
    said = refused("compare", "--recipe", *recipes, "--quick", "--methods", "kd:teacher=run")
    assert "look at module evil, and where you trust it" in said


def test_what_is_trusted_is_imported(stranger, monkeypatch):
    (stranger / "friend.py").write_text("from codistill.models.mlp import mlp\n")
    change(stranger / "run" / "runs.json", models=["friend:mlp,hidden=4"])
    assert "look at module friend, and where you trust it, add --trust" in refused("evaluate", "run", "--part", "test")
    cli.main(["evaluate", "run", "--part", "test", "--trust"])
    assert "friend" in sys.modules


def test_a_report_needs_no_module_of_the_methods_that_it_names(stranger, capsys):
    about = stranger / "study" / "study.json"
    write_json(about, {**read_json(about), "methods": ["evil:Method"]})
    for path in (stranger / "study" / "parts").glob("*/runs.json"):
        runs = [run.as_dict() for run in read_runs(path.parent)]
        write_json(path, [{**run, "method": run["method"].replace("dml", "evil:Method")} for run in runs])
    cli.main(["report", "study"])
    assert "Report: study/report.html" in capsys.readouterr().out


def test_pages_are_not_written_through_links(stranger):
    (stranger / "precious").write_text("kept")
    for page in ("study/report.html", "study/report.md", "run/report.html"):
        (stranger / page).unlink(missing_ok=True)
        (stranger / page).symlink_to(stranger / "precious")
    cli.main(["report", "study"])
    cli.main(["report", "run"])
    assert (stranger / "precious").read_text() == "kept"
    assert not (stranger / "study" / "report.html").is_symlink()


def test_what_a_terminal_would_obey_does_not_reach_it(stranger, capsys):
    summary = json.loads((stranger / "study" / "summary.json").read_text())
    del summary["crc32"]
    summary["rows"][0]["label"] = "\x1b]0;title\x07[red]Alone[/x]\x9b2J"
    (stranger / "study" / "summary.json").write_text(json.dumps(summary))
    cli.main(["report", "study"])
    said = capsys.readouterr()
    assert not {"\x1b", "\x07", "\x9b"} & set(said.out + said.err)
    assert "[red]" in said.out
    assert without_controls({"a\x1b": ["b\x00\t\n"]}) == {"a\ufffd": ["b\ufffd\t\n"]}


STRANGE = [
    "",
    "[",
    "null",
    "[]",
    "{}",
    "3",
    '"text"',
    "[" * 100_000,
    "1" + "0" * 5000,
    "\x00",
    '{"rows": 3}',
    "[null]",
    "[[]]",
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
@pytest.mark.parametrize("file", ["run/runs.json", "study/study.json", "study/summary.json", "run/results.jsonl"])
def test_strange_json_is_one_line_that_names_the_file(file, text, stranger):
    (stranger / file).write_text(text)
    folder, name = file.split("/")
    said = ended("resume" if name == "study.json" else "report", folder)
    if said:  # nothing, where no line is no damage: a run without results
        assert said.startswith("codistill: error: ")
        assert "\n" not in said
        assert name in said or "not finished" in said


@pytest.mark.parametrize("value", [None, "text", 3, [], {}, True, [[]], -(10**400)], ids=str)
def test_a_summary_of_wrong_types_is_one_line(value, stranger):
    path = stranger / "study" / "summary.json"
    whole = json.loads(path.read_text())
    del whole["crc32"]
    places = [(whole, key) for key in whole] + [(whole["rows"][1], key) for key in whole["rows"][1]]
    for where, key in places:
        before, where[key] = where[key], value
        write_json(path, whole)
        with suppress(Damaged):
            Summary.read(path)
        where[key] = before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"alone": 3}', '{"alone": {"forward": "1"}, "dml": {}}', None])
def test_costs_that_are_damaged_are_measured_again(text, stranger):
    path, summary = stranger / "study" / "costs.json", stranger / "study" / "summary.json"
    whole, before = path.read_text(), read_json(summary)["rows"]
    path.write_text(whole.replace(": 1.0", ": 7.0", 1) if text is None else text)
    assert path.read_text() != whole
    cli.main(["resume", "study"])
    assert path.read_text() == whole
    assert read_json(summary)["rows"] == before


def test_a_file_that_is_far_too_long_is_not_read(tmp_path):
    path = tmp_path / "summary.json"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**30)
    with pytest.raises(Damaged, match="has 1,073,741,824 bytes, and files of this kind at most"):
        read_json(path)


def test_a_long_value_is_shortened_in_the_line_that_says_what_is_wrong(stranger):
    change(stranger / "run" / "runs.json", method="x" * 100_000)
    said = refused("evaluate", "run")
    assert len(said) < 3000
    assert "xxx ... xxx" in said or "..." in said


def test_trust_ends_with_its_block():
    with discovery.trusting(()):
        with pytest.raises(discovery.Untrusted):
            discovery.find("codistill.models", "nowhere_at_all:net")
        with discovery.trusting(None), pytest.raises(ValueError, match="there is no module 'nowhere_at_all'"):
            discovery.find("codistill.models", "nowhere_at_all:net")
    assert Run(data="evil:data").data.name == "evil"
