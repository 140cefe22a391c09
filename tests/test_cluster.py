"""A study whose parts are tasks: those of a stand-in for Ray, and of Ray itself on a cluster of this machine."""

import importlib.util
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from codistill import checkpoint, files
from codistill.cli import main
from codistill.exchange import Lost
from codistill.locks import locked
from codistill.run import Run
from codistill.spec import UnknownName
from codistill.study import Study, compare, load
from codistill.study.cluster import Ray, cluster
from codistill.training.records import read_log
from rayless import Rayless

RUN = Run(
    models=("mlp:hidden=4",), labels=40, valid=0, limit=60, batch=20, epochs=4, execute="loop", threads=1,
    checkpoint_steps=1, peers=2,
)  # fmt: skip
STUDY = Study("small", RUN, ("rayless:Losing", "dml:update=in_turn", "kd"), seeds=(0, 1), quick=True)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    library = Rayless()
    monkeypatch.setitem(sys.modules, "ray", library)
    return library


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The study, trained in this process."""
    folder = tmp_path_factory.mktemp("plain") / "study"
    list(compare(STUDY, folder))
    return folder


def check_same(folder, plain):
    """Results and weights of all parts, bit for bit."""
    parts = sorted(path.name for path in (plain / "parts").iterdir())
    assert parts == sorted(path.name for path in (folder / "parts").iterdir()) == ["000", "001", "002"]
    for name in ("results.jsonl", *(f"parts/{part}/results.jsonl" for part in parts)):
        assert files.read_lines(folder / name) == files.read_lines(plain / name)
    for part in parts:
        found, expected = (
            load_file(checkpoint.latest(at / "parts" / part) / "peers.safetensors") for at in (folder, plain)
        )
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)


def test_tasks_end_where_one_process_does_though_a_worker_is_lost(stand_in, plain, tmp_path):
    (tmp_path / "lose-1").touch()
    folder = tmp_path / "study"
    records = list(Ray(cpus=2, gpus=0.5, retries=2).compare(STUDY, folder, trusted=None, command="codistill compare"))
    check_same(folder, plain)
    assert stand_in.asked == [{"num_cpus": 2, "num_gpus": 0.5, "max_retries": 2}]
    assert not (tmp_path / "lose-1").exists()
    starts = [line["step"] for line in read_log(folder / "parts" / "000") if line["kind"] == "start"]
    assert starts == [0, 3]  # lost in its fifth step; checkpoint_steps leaves out the end of an epoch
    trained = [record.facts["part"] for record in records if record.kind == "part"]
    assert sorted(trained) == [1, 2, 3]
    assert trained.index(3) > trained.index(1)  # kd waited for its teacher
    assert records[-1].kind == "summary"
    assert not stand_in.joined


def test_a_worker_that_is_lost_too_often_is_an_error_that_says_how_to_go_on(stand_in, plain, tmp_path):
    for number in range(2):
        (tmp_path / f"lose-{number}").touch()
    folder = tmp_path / "study"
    with pytest.raises(Lost, match=r"part 1: Ray lost its worker 2 times .*codistill resume .*study --on ray"):
        list(Ray(retries=1).compare(STUDY, folder, trusted=None))
    assert load(folder) == STUDY
    list(compare(STUDY, folder, go_on=True))  # and the plain way can, too
    check_same(folder, plain)


def test_closing_it_lets_tasks_write_a_checkpoint(stand_in, plain, tmp_path):
    folder = tmp_path / "study"
    records = Ray().compare(STUDY, folder, trusted=None)
    for _ in records:
        if (folder / "study.json").exists():
            records.close()
    assert not any(task.process.is_alive() for task in stand_in.tasks)
    assert not (folder / "results.jsonl").exists()
    list(Ray().compare(STUDY, folder, go_on=True, trusted=None))
    check_same(folder, plain)


def test_a_part_that_another_process_has_is_waited_for(stand_in, plain, tmp_path):
    folder, waited = tmp_path / "study", 0
    with locked(folder / "parts" / "001"):
        records = Ray().compare(STUDY, folder, trusted=None)
        for record in records:
            if record.kind == "part":
                assert record.facts["part"] != 2
            waited += record.kind == "waiting"
            if waited > 3 and (folder / "parts" / "002" / "results.jsonl").exists():
                break
    list(records)
    check_same(folder, plain)


def test_an_error_of_a_part_is_the_study_s(stand_in, tmp_path):
    with pytest.raises(UnknownName, match="no data is called 'digit'"):
        next(Ray().compare(Study("wrong", RUN.replace(data="digit"), ("dml", "kd"), (0, 1)), tmp_path / "a"))
    study = Study("wrong", RUN.replace(models=("mlp:hidden=4",), batch=400, drop_last=True), ("dml",), (0, 1))
    with pytest.raises(ValueError, match="batch=400") as error:
        list(Ray().compare(study, tmp_path / "b"))
    assert not isinstance(error.value, Lost)
    assert not (tmp_path / "b" / "study.json").exists()


def test_what_a_command_is_told():
    assert cluster("ray:cpus=2,gpus=0.5") == Ray(cpus=2, gpus=0.5)
    for on, said in (
        ("ra", "'ra'.*did you mean 'ray'"),
        ("ray:cpu=2", "did you mean 'cpus'"),
        ("ray:gpus=-1", "gpus=-1"),
    ):
        with pytest.raises(ValueError, match=said):
            cluster(on)
    with pytest.raises(SystemExit, match="on='ray' is for one recipe"):
        main(["compare", "--recipe", "digits", "silos", "--on", "ray"])


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"--on ray needs ray.*pip install 'codistill\[ray\]'"):
        next(Ray().compare(STUDY, tmp_path / "study", trusted=None))


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray, the extra ray, is not installed")
def test_ray_itself(plain, tmp_path):
    """In a process of its own, since Ray leaves processes and open files in that which joins it."""
    script = (
        "from test_cluster import STUDY; from codistill.study.cluster import Ray; import sys\n"
        "for record in Ray(retries=2).compare(STUDY, sys.argv[1], trusted=None): pass"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), "IN_A_TASK": "1"}
    (tmp_path / "lose-1").touch()
    command = [sys.executable, "-c", script, str(tmp_path / "study")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    if "no cluster could be joined or started" in done.stderr:
        pytest.skip("this machine is too busy for Ray to start a cluster on it")
    assert not done.returncode, done.stderr
    assert not (tmp_path / "lose-1").exists()
    check_same(tmp_path / "study", plain)
