"""A killed and resumed run ends bit for bit where an unbroken one does."""

import json
import random
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from codistill import checkpoint
from codistill.checkpoint import BrokenCheckpoint
from codistill.files import read_json
from codistill.run import Run
from codistill.training.loop import restored, resume, train
from codistill.training.records import logged, read_log

SCRIPT = """
import sys
from codistill.run import Run
from codistill.training.loop import train
from codistill.training.records import logged
run, folder = Run.from_json(sys.argv[1]), sys.argv[2]
for record in logged(train([run, run.replace(method="alone"), run.replace(seed=5)], folder), folder):
    print(record.kind, record.step, flush=True)
"""

BASE = Run(
    method="dml",
    peers=3,
    models=("cnn:width=4",),
    labels=100,
    valid=50,
    batch=30,
    epochs=5,
    augment=("crop:pad=1",),
    evaluate_every=2,
    checkpoint_every=2,
    checkpoint_steps=3,
    execute="stack",
)


def fleet_of(run):
    return [run, run.replace(method="alone"), run.replace(seed=5)]


def finish(records):
    return [[{n: t.clone() for n, t in terms.items()} for terms in r.terms] for r in records if r.kind == "step"]


def killed_at(run, folder, step):
    """Run in another process, and kill it as soon as it says that it has done so many steps."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, run.to_json(), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.split() == ["step", str(step)]:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL


def test_runs_of_several_rates_are_resumed_bit_for_bit(tmp_path):
    run = BASE.replace(models=("mlp:hidden=8",), epochs=2, peers=2, optimizer="adamw", evaluate_every=0, threads=1)
    runs = [run.replace(learning_rate=rate, seed=seed) for rate in (0.01, 0.1) for seed in (0, 1)]
    list(logged(train(runs, tmp_path / "whole"), tmp_path / "whole"))
    records = logged(train(runs, tmp_path / "broken"), tmp_path / "broken")
    assert next(record for record in records if record.step == 4)
    records.close()
    list(logged(resume(tmp_path / "broken"), tmp_path / "broken"))
    assert_same_end(tmp_path / "whole", tmp_path / "broken")


def assert_same_end(folder, other):
    one, two = checkpoint.latest(folder), checkpoint.latest(other)
    assert one.name == two.name
    for file in ("peers.safetensors", "state.safetensors"):
        a, b = load_file(one / file), load_file(two / file)
        assert a.keys() == b.keys()
        assert a
        for name in a:
            assert a[name].numpy().tobytes() == b[name].numpy().tobytes(), name
    assert (folder / "results.jsonl").read_text() == (other / "results.jsonl").read_text()

    def log(path):
        return [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(path)]

    assert [x for x in log(folder) if x["kind"] == "epoch"] == [x for x in log(other) if x["kind"] == "epoch"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"update": "in_turn", "optimizer": "adam", "learning_rate": 0.01},
        {"update": "fresh_batch", "execute": "loop", "optimizer": "adamw", "clip": 1.0, "warmup": 0.3},
        {"execute": "channels_last", "clip": 1.0},
    ],
    ids=["together", "in_turn", "fresh_batch", "channels_last"],
)
def test_a_killed_run_ends_where_an_unbroken_one_does(changes, tmp_path):
    run = BASE.replace(**changes)
    steps = 5 * 4
    step = random.SystemRandom().randrange(4, steps)
    whole = finish(logged(train(fleet_of(run), tmp_path / "whole"), tmp_path / "whole"))
    killed_at(run, tmp_path / "killed", step)
    newest = checkpoint.latest(tmp_path / "killed")
    assert newest is not None, f"killed at step {step}"
    again = finish(logged(resume(tmp_path / "killed"), tmp_path / "killed"))
    assert 0 < len(again) < steps
    for old, new in zip(whole[-len(again) :], again, strict=True):
        for a, b in zip(old, new, strict=True):
            assert all(a[name].equal(b[name]) for name in a), f"killed at step {step}"
    assert_same_end(tmp_path / "whole", tmp_path / "killed")


def test_leaving_the_loop_saves_the_very_step(tmp_path):
    run = BASE.replace(checkpoint_steps=0, checkpoint_every=0)
    whole = finish(logged(train(run, tmp_path / "whole"), tmp_path / "whole"))
    for leave in (7, 4, 16):
        folder = tmp_path / str(leave)
        records = logged(train(run, folder), folder)
        for record in records:
            if record.kind == "step" and record.step == leave:
                break
        records.close()
        assert checkpoint.latest(folder).name == f"step-{leave:08d}"
        again = finish(logged(resume(folder), folder))
        assert len(again) == len(whole) - leave
        assert_same_end(tmp_path / "whole", folder)


def test_a_folder_that_holds_a_run_is_not_written_to(tmp_path):
    list(train(BASE.replace(epochs=1), tmp_path))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    with pytest.raises(FileExistsError, match="holds a run already: resume it, or choose another folder"):
        next(train(BASE.replace(epochs=1), tmp_path))
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_resuming_a_finished_run_trains_no_further(tmp_path):
    run = BASE.replace(epochs=1)
    list(logged(train(run, tmp_path), tmp_path))
    before = (tmp_path / "results.jsonl").read_text()
    assert not finish(logged(resume(tmp_path), tmp_path))
    assert (tmp_path / "results.jsonl").read_text() == before


def test_a_broken_checkpoint_is_passed_over_and_the_end_is_the_same(tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "broken"
    finish(logged(train(BASE, whole), whole))
    finish(logged(train(BASE, folder), folder))
    newest = checkpoint.latest(folder)
    file = newest / "peers.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UserWarning, match=f"{newest.name} cannot be read .* passed over for step-"):
        assert finish(logged(resume(folder), folder))
    assert_same_end(whole, folder)


@pytest.mark.parametrize(
    "method",
    [
        "afd:teacher=none",
        "byot",
        "codistillation:exchange_every=3,burn_in=0.1",
        "kdcl_general",
        "mmt",
        "ofd:teacher=none",
        "okddip",
        "one:",
        "pcl",
        "pskd",
    ],
)
def test_what_a_method_learns_and_remembers_is_resumed(method, tmp_path):
    settings = {"branch_at": "stage3"} if method == "one:" else {}
    run = BASE.replace(
        method=method.removesuffix(":"), epochs=3, checkpoint_every=0, checkpoint_steps=0, evaluate_every=0, **settings
    )
    both = [run, run.replace(seed=5)]
    finish(logged(train(both, tmp_path / "whole"), tmp_path / "whole"))
    records = logged(train(both, tmp_path / "left"), tmp_path / "left")
    for record in records:
        if record.kind == "step" and record.step == 7:
            break
    records.close()
    finish(logged(resume(tmp_path / "left"), tmp_path / "left"))
    assert_same_end(tmp_path / "whole", tmp_path / "left")


@pytest.mark.parametrize("method", ["kdcl_general", "okddip", "pcl"])
def test_state_that_an_earlier_version_kept_for_all_seeds_together_is_refused_clearly(method, tmp_path):
    run = BASE.replace(method=method, models=("mlp:hidden=8",), epochs=1)
    records = train([run, run.replace(seed=5)], tmp_path)
    while next(records).step < 2:
        pass
    records.close()
    newest = checkpoint.latest(tmp_path)
    state = load_file(newest / "state.safetensors")
    together = {name: t for name, t in state.items() if not name.startswith(("method.1.", "own.1.", "sums.1."))}
    for name, tensor in together.items():
        if name.startswith(("method.0.", "sums.0.")):
            together[name] = torch.cat([tensor.reshape(-1), tensor.reshape(-1)])
    save_file(together, newest / "state.safetensors")
    facts = read_json(newest / "state.json")
    del facts["sha256"]  # which that version did not write, and no checksum of the facts
    (newest / "state.json").write_text(json.dumps(facts))
    with (
        pytest.warns(UserWarning, match="of an earlier version and has no checksums"),
        pytest.raises(BrokenCheckpoint, match=f"{tmp_path}.*as one cohort.*codistill evaluate {tmp_path}.*train again"),
    ):
        next(resume(tmp_path))
    with pytest.warns(UserWarning, match="of an earlier version and has no checksums"):
        restored(tmp_path)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"optimizer": "adam"}, True),
        ({"optimizer": "sgd", "momentum": 0.9}, True),
        ({"optimizer": "sgd", "momentum": 0.0, "nesterov": False}, False),
    ],
)
def test_an_optimizers_state_that_is_lost_as_a_whole_is_refused_where_there_was_some(settings, kept, tmp_path):
    records = train(BASE.replace(models=("mlp:hidden=8",), epochs=1, **settings), tmp_path)
    while next(records).step < 2:
        pass
    records.close()
    path = checkpoint.latest(tmp_path)
    saved = checkpoint.load(path)
    state = {name: t for name, t in saved.state.items() if not name.startswith("optimizer.")}
    assert (state.keys() != saved.state.keys()) == kept
    checkpoint.save(tmp_path, checkpoint.Checkpoint(saved.peers, state, saved.facts))
    if kept:
        with pytest.raises(BrokenCheckpoint, match="the optimizer's state is lost"):
            next(resume(tmp_path))
    else:
        assert next(resume(tmp_path)).step == 2


SILOS = Run(
    method="codistillation:burn_in=0,exchange_every=3",
    peers=3,
    models=("cnn:width=4,view=left", "cnn:width=4,view=right", "cnn:width=4,view=quarter3"),
    shards="table:0-7/8+9/0-9",
    noise="symmetric:0.2",
    labels=90,
    unlabelled=12,
    batch=6,
    epochs=4,
    steps=10,
    augment=("crop:pad=1",),
    execute="stack",
)


@pytest.mark.parametrize("step", [1, 3, 7, 9])
def test_a_broken_off_training_of_silos_ends_where_an_unbroken_one_does(tmp_path, step):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    list(logged(train(SILOS, whole), whole))
    records = logged(train(SILOS, broken), broken)
    for record in records:
        if record.kind == "step" and record.step == step:
            records.close()
            break
    list(logged(resume(broken), broken))
    assert_same_end(whole, broken)
