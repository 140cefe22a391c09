"""Jobs: their checkpoints know nothing of a mesh, and none of their processes waits for ever for another."""

import os
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from codistill import checkpoint
from codistill.cli import main
from codistill.exchange.job import axes_of
from codistill.files import read_lines
from codistill.run import Run
from codistill.training.loop import train
from codistill.training.records import logged, read_log
from jobs import job_of, noisy_squares, started

RUN = Run(
    method="pskd", models=("mlp:hidden=6,layers=1", "mlp:hidden=5"), labels=30, valid=10, batch=6, epochs=4,
    precision="float64", execute="loop", average=0.9, evaluate_every=1, keep="best_valid", optimizer="adam",
    learning_rate=0.01,
)  # fmt: skip
TO = 8  # a step in the middle of an epoch


def part_of(mesh, folder, resume, until):
    """Train, to a step or to the end."""
    records = train(RUN, folder, resume=resume, dataset=noisy_squares(), mesh=mesh)
    for record in logged(records, folder) if mesh.is_first else records:
        if record.kind == "step" and record.step == until:
            records.close()
            return


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    job_of(part_of, None, 1, folder, False, None)
    return folder


ONE, FOUR, SHARDED = (None, 1), ("peer=2,data=2", 4), ("data=2,shard=true", 2)


@pytest.mark.parametrize("meshes", [(ONE, FOUR), (FOUR, ONE), (ONE, SHARDED), (SHARDED, ONE)], ids=str)
def test_a_run_goes_on_where_another_mesh_left_it(meshes, unbroken, tmp_path):
    (first, processes), (second, others) = meshes
    folder = tmp_path / "run"
    job_of(part_of, first, processes, folder, False, TO)
    assert checkpoint.latest(folder).name == f"step-{TO:08d}"
    job_of(part_of, second, others, folder, True, None)
    for name in ("peers", "state"):
        found, expected = (load_file(checkpoint.latest(at) / f"{name}.safetensors") for at in (folder, unbroken))
        assert found.keys() == expected.keys()
        for key, tensor in found.items():
            torch.testing.assert_close(tensor, expected[key], rtol=1e-8, atol=1e-10, msg=key)
    passes = [checkpoint.facts_of(checkpoint.latest(at))["passes"] for at in (folder, unbroken)]
    assert passes[0] == passes[1]
    logs = [[line for line in read_log(at) if line["kind"] == "epoch"] for at in (folder, unbroken)]
    for one, other in zip(*logs, strict=True):
        assert one["terms"].keys() == other["terms"].keys()
        for name, values in one["terms"].items():
            assert values == pytest.approx(other["terms"][name], rel=1e-8)
    for one, other in zip(*(read_lines(at / "results.jsonl") for at in (folder, unbroken)), strict=True):
        if "nll" in one:
            assert one["nll"] == pytest.approx(other["nll"], rel=1e-8)


FAULTS = {
    "raises": lambda: (_ for _ in ()).throw(ValueError("a bug in this process alone")),
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "is stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


def disturbed(mesh, fault):
    """Train until the last process is disturbed in step 3."""
    for record in train(RUN, dataset=noisy_squares(), mesh=mesh):
        if mesh.rank == mesh.size - 1 and record.step == 3:
            FAULTS[fault]()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_process_ends_the_job_in_bounded_time(fault):
    job, answers = started(disturbed, "peer=2,timeout=4", 2, fault)
    begun = time.monotonic()
    try:
        errors = [answers.get(timeout=60)[2] for _ in (job if fault == "raises" else job[:1])]
        said = ("ValueError: a bug in this process alone", "Lost: another process of this job ended, or did not answer")
        assert sum(message in error for error in errors for message in said) == 1  # the others end without a word
        assert said[fault != "raises"] in "".join(errors)
        assert time.monotonic() - begun < 60
        job[0].join(30)
        assert job[0].exitcode == 1
    finally:
        for process in job:
            process.kill()  # a stopped one too
            process.join()


def asked(mesh):
    """Train until all have agreed to stop; the last process alone is asked, in step 2."""
    for record in train(RUN, dataset=noisy_squares(), mesh=mesh):
        if record.kind == "step":
            if record.step == 2 and mesh.rank == mesh.size - 1:
                mesh.ask_to_stop()
            if mesh.stops():
                return record.step
    return None


def test_all_processes_stop_after_the_same_step():
    steps = job_of(asked, "peer=2", 2)
    assert len(set(steps)) == 1
    assert steps[0] in (3, 4)


def command(folder):
    """``codistill train`` as torchrun starts it; the second command finds the run and says so once."""
    words = f"--runs {folder} --models mlp:hidden=16 --labels 100 --batch 20 --epochs 4 --mesh peer=2 --quiet"
    main(["train", "--name", "a", *words.split()])
    return sorted(path.name for path in (folder / "a").iterdir())


def test_the_command_of_a_job(tmp_path, capfd):
    found = job_of(command, "its own", 2, tmp_path)
    assert {"checkpoints", "log.jsonl", "results.jsonl", "report.html"} <= set(found[0])
    lines = read_log(tmp_path / "a")
    assert [line["kind"] for line in lines] == ["start", *["epoch"] * 4]  # by one process alone
    job, answers = started(command, "its own", 2, tmp_path)
    errors = [answers.get(timeout=60)[2] for _ in job]
    for process in job:
        process.join(30)
    assert any("already exists" in error for error in errors)  # by one, unless its store went down with it
    assert capfd.readouterr().out == ""


def test_the_axes_of_a_mesh():
    assert axes_of("peer=2,data=3", 6) == (2, 3, False, 600)
    assert axes_of("data=2,timeout=5", 2) == (1, 2, False, 5)
    assert axes_of(None, 4) == (4, 1, False, 600)
    assert axes_of(None, 1) == (1, 1, False, 600)
    assert axes_of("data=2,shard=true", 2) == (1, 2, True, 600)


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        ("peer=3", r"mesh='peer=3' is for 3 processes, and there are 2: start it by torchrun --nproc-per-node 3"),
        ("peers=2", "no axis of a mesh is called 'peers'; did you mean 'peer'"),
        ("peer=0", "mesh: peer=0: give a whole number of at least 1"),
        ("peer=2,shard=true", "mesh: shard=true deals weights out along data: set data to 2 or more"),
        ("data=2,shard=2", "mesh: shard=2: use true or false"),
        ("2x1", "mesh='2x1': write peer=2,data=2"),
    ],
)
def test_a_wrong_mesh_says_what_to_write(mesh, message):
    with pytest.raises(ValueError, match=message.replace("; did", ".*did")):
        axes_of(mesh, 2)
