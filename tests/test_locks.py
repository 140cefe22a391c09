"""One process at a time in a run's folder; several in a study's, each with its own parts."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from codistill import locks, study as studies
from codistill.cli.commands.train import default_name
from codistill.files import read_lines
from codistill.locks import Held, holder, locked
from codistill.run import Run
from codistill.study import Row, Study
from codistill.training.loop import resume, train
from codistill.training.records import logged, read_log

HOLD = "import sys, time; from pathlib import Path; from codistill.locks import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
RUN = Run(labels=40, batch=20, models=("mlp:hidden=4",), epochs=2, execute="loop")


@pytest.fixture
def other(tmp_path):
    """Another process that holds a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_refused_with_the_holders_process_and_host(other, tmp_path):
    words = f"{tmp_path} is in use by process {other.pid} on {socket.gethostname()}: wait for it"
    with pytest.raises(Held, match=words), locked(tmp_path):
        pass
    with pytest.raises(Held, match=words):
        next(train(RUN, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    other.send_signal(signal.SIGKILL)
    other.wait()
    with locked(tmp_path):  # its lock has died with it
        assert holder(tmp_path)["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_made_for_nothing_is_removed_again(tmp_path):
    with locked(tmp_path / "a" / "b"):
        pass
    assert not (tmp_path / "a").exists()
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "something").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["something"]


@pytest.mark.parametrize(
    ("who", "held"),
    [
        ({}, False),
        ({"pid": 2**22 + 1}, False),
        ({"boot": "an earlier start"}, False),
        ({"host": "elsewhere"}, True),
        ({"pid": os.getppid()}, True),
    ],
)
def test_where_there_is_no_flock_the_text_says_who_holds_it(who, held, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    own = {"pid": os.getpid(), "host": socket.gethostname(), "boot": locks.BOOT.read_text().strip()}
    (tmp_path / ".lock").write_text(json.dumps({**own, **who}) if who else "")
    if held:
        with pytest.raises(Held), locked(tmp_path):
            pass
    else:
        with locked(tmp_path):
            assert holder(tmp_path) == own


def test_a_lock_is_never_written_through_a_link(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic|Too many levels"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_run_that_is_being_resumed_is_not_resumed_again(tmp_path):
    first = logged(train(RUN, tmp_path), tmp_path)
    next(first)
    with pytest.raises(Held):
        next(resume(tmp_path))
    list(first)
    list(logged(resume(tmp_path), tmp_path))
    assert [line["epoch"] for line in read_log(tmp_path) if line["kind"] == "epoch"] == [1, 2]


def test_runs_that_differ_in_a_setting_have_folders_of_their_own():
    names = {default_name(Run(learning_rate=rate)) for rate in (0.1, 0.2)}
    assert len(names) == 2
    assert any("learning_rate=0.2" in name for name in names)
    long = RUN.replace(models=("cnn:width=4,depth=3", "mlp:hidden=8"), smoothing=0.1, warmup=0.1, weight_decay=0.01)
    hashed = {default_name(long.replace(learning_rate=rate)) for rate in (0.1, 0.2)}
    assert len(hashed) == 2


SHARED = Study(
    "shared", RUN.replace(epochs=30), (Row("dml"), Row("kd:teacher=alone")), seeds=(0, 1), quick=True, stacked=False
)
GO = "import sys, json; from pathlib import Path; from codistill import study as s\n"
GO += "folder = Path(sys.argv[1]); about = s.Study.from_dict(json.loads(sys.argv[2]))\n"
GO += "print('ready', flush=True); sys.stdin.readline()\n"
GO += "records = s.compare(about, folder, go_on=True)\n"  # the other may have begun long before
GO += "print(json.dumps(sorted({r.facts['part'] for r in records if r.kind == 'step'})))"


def test_two_processes_share_a_study_and_train_each_part_once(tmp_path):
    about = json.dumps(SHARED.as_dict())
    both = [
        subprocess.Popen(
            [sys.executable, "-c", GO, tmp_path / "study", about],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    trained = [set(json.loads(text)) for text in said]
    assert not trained[0] & trained[1]
    count = len(studies.parts(SHARED, tmp_path / "study"))
    assert trained[0] | trained[1] == set(range(1, count + 1))
    list(studies.compare(SHARED, tmp_path / "alone"))
    assert read_lines(tmp_path / "study" / "results.jsonl") == read_lines(tmp_path / "alone" / "results.jsonl")
