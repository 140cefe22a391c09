"""A disk that is full, a folder that is removed: one line, and the checkpoint before is whole."""

import os
import resource
import shutil
import subprocess
import sys

import pytest
import torch

from codistill import checkpoint
from codistill.files import draft, write
from codistill.run import Run
from codistill.training.loop import resume, train
from codistill.training.records import logged

RUN = Run(labels=40, batch=20, models=("mlp:hidden=64",), epochs=4, execute="loop", checkpoint_every=1)


@pytest.fixture
def begun(tmp_path):
    """A run that was left after its second epoch."""
    records = logged(train(RUN, tmp_path / "run"), tmp_path / "run")
    for record in records:
        if record.kind == "checkpoint" and record.step == 4:
            break
    records.close()
    return tmp_path / "run"


@pytest.mark.parametrize("room", ["peers.safetensors", "state.safetensors"])
def test_a_full_disk_is_one_line_and_leaves_the_checkpoint_before(room, begun):
    newest = checkpoint.latest(begun)
    most = (newest / room).stat().st_size - 100

    def limit():  # of any file, as a full disk would; what the system then says is "File too large"
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(
        [sys.executable, "-m", "codistill", "resume", begun],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("codistill: error: ")
    assert done.stderr.count("\n") == 1
    assert checkpoint.newest_whole(begun)[0] == newest
    assert not list(begun.rglob("*.part"))
    assert [r.step for r in resume(begun)][-1] == 8


def test_a_folder_that_is_removed_is_an_error_of_the_system(begun):
    records = logged(resume(begun), begun)
    next(records)
    shutil.rmtree(begun)
    with pytest.raises(OSError, match="log.jsonl|checkpoints"):
        list(records)


def test_a_file_is_on_the_disk_before_its_name_is_and_then_the_name(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, type(tmp_path).replace

    def flushed(number):
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{number}")))
        fsync(number)

    def renamed(path, to):
        done.append(f"{path.name} -> {to.name}")
        return replace(path, to)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(type(tmp_path), "replace", renamed)
    write(tmp_path / "file", "x")
    beside = f".file.{os.getpid()}.part"
    assert done == [beside, f"{beside} -> file", tmp_path.name]


def test_what_fails_half_way_leaves_what_was_there(tmp_path):
    path = write(tmp_path / "file", "before")

    def fail():
        with draft(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    before = os.umask(0o027)
    try:
        assert write(tmp_path / "other", "x").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)
