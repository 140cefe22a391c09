"""Runs that meet in a shared folder: the numbers, and what happens when one of them ends."""

import multiprocessing
import os
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from codistill import checkpoint
from codistill.exchange.shared_folder import SharedFolder
from codistill.files import read_lines
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import resume, train
from codistill.training.records import logged, read_log
from codistill.training.state import Training
from jobs import noisy_squares

RUN = Run(
    method="dml", models=("mlp:hidden=6,layers=1", "mlp:hidden=5"), labels=30, batch=6, epochs=2, precision="float64",
    execute="loop", clip=1.0, checkpoint_steps=3,
)  # fmt: skip


def steps_of(folder, own, every=1, run=RUN):
    """A run of some of the peers, step by step: the terms."""
    for record in train(run, dataset=noisy_squares(), shared=SharedFolder(folder, own, every)):
        if record.kind == "step":
            yield record.terms[0]


def test_processes_in_step_are_the_papers_algorithm(tmp_path):
    """Peer 1 always sees what peer 0 has just become: together they are `in_turn` in one process."""
    one, other = steps_of(tmp_path, (0,)), steps_of(tmp_path, (1,))
    together = [(next(one), next(other)) for _ in range(8)]
    training = Training(build_fleet([RUN.replace(update="in_turn")], dataset=noisy_squares()), None)
    for terms in together:
        expected = training.advance()[0]
        for peer, own in enumerate(terms):
            for name, values in own.items():
                torch.testing.assert_close(values[peer], expected[name][peer], rtol=1e-10, atol=1e-12)


def test_copies_of_the_others_learn_nothing_here(tmp_path):
    training = Training(build_fleet([RUN], dataset=noisy_squares(), shared=SharedFolder(tmp_path, (1,))), None)
    before = [{name: t.clone() for name, t in training.fleet.cohort.peer_state(i).items()} for i in range(2)]
    training.advance()
    same = [
        [torch.equal(t, before[i][name]) for name, t in training.fleet.cohort.peer_state(i).items()] for i in range(2)
    ]
    assert all(same[0])
    assert not any(same[1])


def test_how_far_the_others_are_behind_is_in_the_log(tmp_path):
    folder, home = tmp_path / "shared", tmp_path / "run"
    ahead = steps_of(folder, (0,), every=2)
    for _ in range(5):
        next(ahead)
    run = RUN.replace(epochs=1)
    with pytest.raises(ValueError, match="of a run with other settings"):
        list(train(run, dataset=noisy_squares(), shared=SharedFolder(folder, (1,))))
    list(logged(train(RUN, home, dataset=noisy_squares(), shared=SharedFolder(folder, (1,), every=3)), home))
    lines = [line for line in read_log(home) if line["kind"] == "exchange"]
    assert [line["step"] for line in lines] == [0, 3, 6, 9]
    assert [line["behind"] for line in lines] == [{"0": -4}, {"0": -1}, {"0": 2}, {"0": 5}]
    assert all(line["age"]["0"] >= 0 for line in lines)


def test_files_are_whole_newest_and_few(tmp_path):
    shared = SharedFolder(tmp_path, (0,))
    assert shared.newest(0, "a") is None
    for step in (50, 100, 150):
        shared.publish(0, step, {"w": torch.tensor([float(step)])}, "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "peer-0.step-00000100.safetensors", "peer-0.step-00000150.safetensors",
    ]  # fmt: skip
    assert shared.newest(0, "a").step == 150
    assert shared.newest(1, "a") is None
    newest = tmp_path / "peer-0.step-00000150.safetensors"
    newest.write_bytes(newest.read_bytes()[:40])  # a torn file is passed over
    assert shared.newest(0, "a").tensors["w"].item() == 100


@pytest.mark.parametrize("own", [(), (2,), (0, 1)])
def test_own_are_some_of_the_peers(own, tmp_path):
    with pytest.raises(ValueError, match="of the peers 0 to 1, give some, and not all"):
        next(train(RUN, dataset=noisy_squares(), shared=SharedFolder(tmp_path, own)))


LONG = RUN.replace(models=("mlp:hidden=6,layers=1",), peers=3, epochs=12)  # 60 steps


def slowly(records):
    for record in records:
        time.sleep(0.01 if record.kind == "step" else 0)


def begin(folder, peer):
    torch.set_num_threads(1)
    home = folder / str(peer)
    slowly(logged(train(LONG, home, dataset=noisy_squares(), shared=SharedFolder(folder / "s", (peer,), 5)), home))


def go_on(folder, peer):
    torch.set_num_threads(1)
    home = folder / str(peer)
    slowly(logged(resume(home, dataset=noisy_squares(), shared=SharedFolder(folder / "s", ())), home))


def test_one_is_killed_and_the_others_go_on(tmp_path):
    """And it goes on too, later, from its checkpoint."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=begin, args=(tmp_path, peer)) for peer in range(3)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + 60
    while not list((tmp_path / "2" / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(processes[2].pid, signal.SIGKILL)
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, -signal.SIGKILL]
    lines = [line for line in read_log(tmp_path / "0") if line["kind"] == "exchange"]
    assert lines[-1]["behind"]["2"] is None or lines[-1]["behind"]["2"] > 0
    assert not (tmp_path / "2" / "results.jsonl").exists()
    again = context.Process(target=go_on, args=(tmp_path, 2))
    again.start()
    again.join(120)
    assert again.exitcode == 0
    assert len(read_lines(tmp_path / "2" / "results.jsonl")) > 0
    last = checkpoint.latest(tmp_path / "2")
    assert checkpoint.facts_of(last)["step"] == 60
    found = [name for name in load_file(last / "peers.safetensors") if name.startswith("peers.0.")]
    assert found  # what it knows of the others is in its checkpoint
