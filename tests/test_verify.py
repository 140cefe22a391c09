"""What is damaged is said; more trials: tests/random_damage.py."""

import sys

import pytest

import random_damage
from codistill import cli
from crash_points import BASE, compares, trains


@pytest.mark.filterwarnings("ignore")
def test_random_damage_is_detected_or_harmless():
    outcomes = random_damage.trials(60, seed=1)
    assert not [each for each in outcomes if each[-1] == "UNNOTICED"]
    assert sum(each[-1] == "detected" for each in outcomes) > 40


def test_a_whole_folder_is_whole_and_a_damaged_one_ends_with_exit_code_1(tmp_path, capsys):
    trains(BASE)(tmp_path)
    cli.main(["verify", str(tmp_path)])
    assert "none is damaged" in capsys.readouterr().out
    state = next(tmp_path.rglob("state.json"))
    state.write_text(state.read_text().replace('"step": ', '"step": 1'))
    with pytest.raises(SystemExit, match="1 of .* things checked in .* are damaged"):
        cli.main(["verify", str(tmp_path)])
    assert "state.json is damaged: its checksum is of other values" in capsys.readouterr().out


def test_nothing_that_a_folder_names_is_imported(tmp_path, monkeypatch):
    compares(["dml"])(tmp_path)
    for name in ("study.json", "parts/000/runs.json"):
        path = tmp_path / name
        path.write_text(path.read_text().replace('"digits"', '"stranger:data"').replace('"dml"', '"stranger:Method"'))
    (tmp_path / "stranger.py").write_text("raise AssertionError('imported')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="are damaged"):
        cli.main(["verify", "."])
    assert "stranger" not in sys.modules


def test_a_folder_without_a_run_is_no_mistake_of_the_disk(tmp_path):
    with pytest.raises(SystemExit, match="holds no run and no comparison"):
        cli.main(["verify", str(tmp_path)])


def test_a_log_that_ends_before_the_checkpoint_or_lacks_a_line_is_damaged(tmp_path, capsys):
    trains(BASE)(tmp_path)
    log, results = tmp_path / "log.jsonl", tmp_path / "results.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    for left, said in (
        ([0, 2], "1 lines are missing, the first before line 2"),
        ([0], "does not come to step 2, where"),
    ):
        log.write_text("".join(lines[n] for n in left))
        with pytest.raises(SystemExit, match="1 of .* things checked in .* are damaged"):
            cli.main(["verify", str(tmp_path)])
        assert said in " ".join(capsys.readouterr().out.split())
        results.unlink(missing_ok=True)  # a run that was broken off
