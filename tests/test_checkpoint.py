import ast
import copy
import json
import pickle
import random
from pathlib import Path

import pytest
import torch
from torch import nn

import codistill
import small_nets
from codistill import checkpoint, optim
from codistill.checkpoint import BrokenCheckpoint, Checkpoint
from codistill.cohort import Cohort
from codistill.methods.dml import DML
from codistill.methods.kd import KD
from codistill.run import Run
from codistill.training.fleet import peers_by_run

EXECUTORS = ["loop", "stack", "channels_last"]
FILES = ["peers.safetensors", "state.safetensors", "state.json"]


def trained(execute, seed=0):
    """A cohort and its optimizer after two steps."""
    cohort = Cohort(small_nets.several("clc", seed=seed), execute=execute)
    optimizer = optim.build(cohort.parameters(), Run(optimizer="adam", learning_rate=0.01, weight_decay=0.0))
    for step in range(2):
        optimizer.zero_grad()
        cohort(small_nets.images(6, seed=step)).logits.square().mean().backward()
        optimizer.step()
    return cohort, optimizer


def leaves(cohort):
    return [leaf for leaf in cohort.leaves() if isinstance(leaf.tensor, nn.Parameter)]


def saved(folder, step=4, execute="stack", **settings):
    cohort, optimizer = trained(execute)
    state = checkpoint.optimizer_state(optimizer, leaves(cohort))
    return checkpoint.save(folder, Checkpoint(checkpoint.peers_of(cohort), state, {"step": step}), **settings)


def steps(folder):
    return sorted(p.name for p in (folder / "checkpoints").iterdir())


# Round trips --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", EXECUTORS)
@pytest.mark.parametrize("execute", EXECUTORS)
def test_what_is_saved_loads_into_any_executor(execute, other, tmp_path):
    source, optimizer = trained(execute)
    state = checkpoint.optimizer_state(optimizer, leaves(source))
    facts = {"step": 12, "execute": execute, "seconds": 0.1}
    path = checkpoint.save(tmp_path, Checkpoint(checkpoint.peers_of(source), state, facts))
    assert path == tmp_path / "checkpoints" / "step-00000012"
    found = checkpoint.load(path)
    assert found.facts == facts
    target = Cohort(small_nets.several("clc", seed=1), execute=other)
    again = optim.build(target.parameters(), Run(optimizer="adam", learning_rate=0.01, weight_decay=0.0))
    checkpoint.restore_peers(target, found.peers)
    checkpoint.restore_optimizer(again, leaves(target), found.state)
    for i in source.peers:
        torch.testing.assert_close(target.peer_state(i), source.peer_state(i), rtol=0, atol=0)
    restored = checkpoint.optimizer_state(again, leaves(target))
    torch.testing.assert_close(restored, state, rtol=0, atol=0)
    assert any(name.endswith("exp_avg_sq") for name in restored)
    x = small_nets.images(6, seed=9)
    torch.testing.assert_close(target.eval()(x).logits, source.eval()(x).logits, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_files_hold_each_peer_by_the_networks_own_names(execute, tmp_path):
    from safetensors.torch import load_file

    path = saved(tmp_path, execute=execute)
    assert sorted(p.name for p in path.iterdir()) == sorted(FILES)
    tensors = load_file(path / "peers.safetensors")
    nets = small_nets.several("clc")
    expected = {f"peers.{i}.{n}" for i, net in enumerate(nets) for n in net.state_dict()}
    assert set(tensors) == expected
    for i, net in enumerate(nets):  # an ordinary module takes its part as it is
        net.load_state_dict({n: tensors[f"peers.{i}.{n}"] for n in net.state_dict()})
    state = load_file(path / "state.safetensors")
    assert state["peers.2.8.weight.exp_avg"].shape == (3, 6)
    assert state["peers.2.8.weight.step"].shape == ()


def test_loading_runs_no_code(tmp_path, monkeypatch):
    path = saved(tmp_path)

    def refuse(*_args, **_kwargs):
        raise AssertionError("something was unpickled")

    for owner, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(owner, name, refuse)
    checkpoint.restore_peers(Cohort(small_nets.several("clc")), checkpoint.load(path).peers)


def test_nothing_of_ours_unpickles_saves_or_loads_with_torch():
    """But for CIFAR's files, which come as pickles and are opened only where their hash is the published one (which
    tests/data/test_cifar.py holds), and for starts that torch saved, of which tensors alone are read."""
    modules = {"pickle", "dill", "joblib", "shelve", "marshal"}
    calls = {"torch.load", "torch.save", "pickle.load", "pickle.loads", "pickle.dump", "pickle.dumps"}
    root = Path(codistill.__file__).parent
    paths = sorted(root.rglob("*.py"))
    assert len(paths) > 20
    importing = set()
    for path in paths:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        tensors_alone = {
            id(node.func)
            for node in nodes
            if isinstance(node, ast.Call) and any(ast.unparse(k) == "weights_only=True" for k in node.keywords)
        }
        for node in nodes:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            importing |= {path.name for name in names if name.partition(".")[0] in modules}
            called = isinstance(node, ast.Attribute) and id(node) not in tensors_alone and ast.unparse(node) in calls
            hashed = path.name == "cifar.py" and ast.unparse(node) == "pickle.loads"
            assert not called or hashed, f"{path.name}: {ast.unparse(node)}"
    assert importing <= {"cifar.py", "initial_weights.py"}
    weights = (root / "training" / "initial_weights.py").read_text(encoding="utf-8")
    assert "from pickle import UnpicklingError\n" in weights


# Whole or not at all ------------------------------------------------------------------------------------------------


def test_old_checkpoints_are_removed_and_the_newest_is_the_latest(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    for step in (8, 9, 10, 100):
        saved(tmp_path, step)
        assert checkpoint.latest(tmp_path).name == f"step-{step:08d}"
    assert steps(tmp_path) == ["step-00000010", "step-00000100"]
    saved(tmp_path, 101, keep=1)
    assert steps(tmp_path) == ["step-00000101"]


@pytest.mark.parametrize("fails", ["save_file", "json", "rename"])
def test_a_save_that_fails_leaves_the_old_checkpoint_the_latest(tmp_path, monkeypatch, fails):
    old = saved(tmp_path, 1)
    before = {p.name: p.read_bytes() for p in old.iterdir()}

    def fail(*_args, **_kwargs):
        raise OSError("no space left on device")

    where = {"save_file": (checkpoint, "save_file"), "json": (json, "dumps"), "rename": (Path, "rename")}[fails]
    with monkeypatch.context() as patch:
        patch.setattr(*where, fail)
        with pytest.raises(OSError, match="no space left"):
            saved(tmp_path, 2)
    assert checkpoint.latest(tmp_path) == old
    assert {p.name: p.read_bytes() for p in old.iterdir()} == before
    saved(tmp_path, 2)
    assert checkpoint.load(checkpoint.latest(tmp_path)).facts == {"step": 2}
    assert steps(tmp_path) == ["step-00000001", "step-00000002"]


def test_the_same_step_may_be_saved_again(tmp_path):
    saved(tmp_path, 3)
    cohort = Cohort(small_nets.several("c", seed=5))
    path = checkpoint.save(tmp_path, Checkpoint(checkpoint.peers_of(cohort), {}, {"step": 3, "again": True}))
    assert checkpoint.load(path).facts["again"]
    assert steps(tmp_path) == ["step-00000003"]


def broken(path, file, how):
    target = path / file
    content = target.read_bytes()
    if how == "missing":
        target.unlink()
    elif how == "garbage":
        target.write_bytes(b"\xff\x00garbage" * 50)
    elif how == "folder":
        target.unlink()
        target.mkdir()
    else:
        target.write_bytes(content[: int(len(content) * how)])


@pytest.mark.parametrize("how", ["missing", "garbage", "folder", 0.0, 0.001, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("file", FILES)
def test_a_broken_file_gives_one_clear_message(tmp_path, file, how):
    old, path = saved(tmp_path, 1), saved(tmp_path, 2)
    broken(path, file, how)
    if file == "state.json" and how == 0.99:
        (path / file).write_text('{"step": 2')
    with pytest.raises(BrokenCheckpoint) as caught:
        checkpoint.load(path)
    said = str(caught.value)
    assert said.startswith(f"checkpoint {path} cannot be read (")
    assert "\n" not in said
    assert isinstance(caught.value, ValueError)
    with pytest.warns(UserWarning, match=f"step-00000002 cannot be read .* passed over for {old.name}"):
        assert checkpoint.newest_whole(tmp_path)[1].facts == {"step": 1}
    broken(old, file, how)
    with pytest.warns(UserWarning, match="passed over"), pytest.raises(BrokenCheckpoint, match="to start again"):
        checkpoint.newest_whole(tmp_path)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ("[]", "it holds a list, not a dict"),
        ("null", "it holds a NoneType"),
        ("{}", "state.json has no step"),
        ('{"step": "2"}', "step='2' is a str"),
        ('{"step": true}', "step=True is a bool"),
        ('{"step": 3}', "step=3 of 3, in the folder of step 2"),
        ('{"step": 2, "steps": 1}', "step=2 of 1"),
        ('{"step": 2, "passes": [1]}', "are no two numbers"),
        ('{"step": 2, "sha256": {"peers.safetensors": 3}}', "its checksum is missing"),
        ("[" * 100_000, "nested too deeply"),
        ('{"step": ' + "9" * 5000 + "}", "Exceeds the limit"),
    ],
)
def test_facts_that_cannot_be_are_damage(tmp_path, facts, said):
    path = saved(tmp_path, 2)
    (path / "state.json").write_text(facts)
    with pytest.raises(BrokenCheckpoint) as caught:
        checkpoint.load(path)
    assert said in str(caught.value)


def test_every_flipped_bit_is_seen(tmp_path):
    path, chance = saved(tmp_path, 2), random.Random(0)
    for number in range(150):
        file = path / FILES[number % 3]
        content = bytearray(whole := file.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        try:
            found = checkpoint.load(path)
        except BrokenCheckpoint:
            pass
        else:  # white space, an escape
            assert file.name == "state.json"
            assert found.facts == {"step": 2}
        file.write_bytes(whole)
    assert checkpoint.load(path).facts == {"step": 2}


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    saved(tmp_path, 1), saved(tmp_path, 2)

    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        checkpoint.newest_whole(tmp_path)


def test_files_have_the_mode_of_the_umask_and_nothing_is_written_through_links(tmp_path):
    path = saved(tmp_path, 1)
    (tmp_path / "plain").write_text("")
    assert {(path / name).stat().st_mode for name in FILES} == {(tmp_path / "plain").stat().st_mode}
    other = tmp_path / "other"
    other.mkdir()
    (other / "checkpoints").symlink_to(path.parent)
    with pytest.raises(OSError, match="is a symbolic link"):
        saved(other, 2)
    assert steps(tmp_path) == ["step-00000001"]


def test_a_checkpoint_without_checksums_is_read_and_that_is_said(tmp_path):
    path = saved(tmp_path, 2)
    (path / "state.json").write_text('{"step": 2}')
    with pytest.warns(UserWarning, match="is of an earlier version and has no checksums"):
        assert checkpoint.load(path).facts == {"step": 2}


def test_what_is_loaded_is_no_longer_the_file(tmp_path):
    path = saved(tmp_path, 2)
    found = checkpoint.load(path)
    before = copy.deepcopy(found.peers)
    for name in FILES:
        (path / name).write_bytes(b"")
    torch.testing.assert_close(found.peers, before, rtol=0, atol=0)


def test_later_checkpoints_that_were_passed_over_go_and_the_one_just_written_stays(tmp_path):
    for step in (10, 20, 30):
        saved(tmp_path, step, keep=3)
    saved(tmp_path, 12)
    assert steps(tmp_path) == ["step-00000010", "step-00000012"]


def test_state_that_is_lost_in_part_and_weights_of_another_kind_are_refused():
    cohort, optimizer = trained("loop")
    state = checkpoint.optimizer_state(optimizer, leaves(cohort))
    name = next(name for name in state if name.endswith("exp_avg"))
    with pytest.raises(ValueError, match="is not like its weights"):
        checkpoint.restore_optimizer(optimizer, leaves(cohort), {**state, name: state[name][:1]})
    stacked, optimizer = trained("stack")
    lost = {key: t for key, t in state.items() if key != name.replace("peers.0.", "peers.2.")}
    with pytest.raises(ValueError, match="is lost in part"):
        checkpoint.restore_optimizer(optimizer, leaves(stacked), lost)
    peers = {key: t.long() for key, t in checkpoint.peers_of(cohort).items()}
    with pytest.raises(ValueError, match="peer 0: .* is torch.int64, the network's torch.float"):
        checkpoint.restore_peers(cohort, peers)


# What does not fit --------------------------------------------------------------------------------------------------


def test_another_number_of_peers_or_another_network_is_refused():
    source = checkpoint.peers_of(Cohort(small_nets.several("cc")))
    with pytest.raises(ValueError, match="the checkpoint has 2 peers, the cohort 3"):
        checkpoint.restore_peers(Cohort(small_nets.several("ccc")), source)
    with pytest.raises(ValueError, match="peer 1: .* is (missing|not in this network)"):
        checkpoint.restore_peers(Cohort(small_nets.several("cl")), source)


def test_what_is_frozen_for_good_is_not_saved_and_what_moves_is():
    teacher = Cohort(small_nets.several("c", seed=1), execute="stack")
    assert checkpoint.method_state(KD(teacher.frozen())) == {}
    assert checkpoint.method_state(DML()) == {}
    cohort = Cohort(small_nets.several("cc"), execute="stack")
    method = KD(cohort.frozen(moving=True))
    state = {name: t.clone() for name, t in checkpoint.method_state(method).items()}
    assert {name.split(".peers.")[1] for name in state} == set(checkpoint.peers_of(cohort))
    with torch.no_grad():
        for p in cohort.parameters():
            p.add_(0.5)
    method.teacher.follow(cohort, decay=0.5)
    moved = checkpoint.method_state(method)
    assert any(not torch.equal(moved[name], t) for name, t in state.items())
    other = KD(Cohort(small_nets.several("cc", seed=7)).frozen(moving=True))
    checkpoint.restore_method(other, moved)
    x = small_nets.images(6)
    torch.testing.assert_close(other.teacher(x).logits, method.teacher(x).logits, rtol=1e-12, atol=1e-13)
    with pytest.raises(ValueError, match="the checkpoint's method state differs in 'teacher"):
        checkpoint.restore_method(DML(), moved)


# Runs ---------------------------------------------------------------------------------------------------------------


def test_runs_are_read_as_they_were_written(tmp_path):
    runs = [Run(peers=3), Run(method="alone", betas=(0.5, 0.9), clip=1.0, models=("cnn:width=4", "mlp"))]
    checkpoint.write_runs(tmp_path / "deep" / "er", runs)
    assert checkpoint.read_runs(tmp_path / "deep" / "er") == runs
    with pytest.raises(FileNotFoundError, match=r"is not the folder of a run: .*runs.json is missing"):
        checkpoint.read_runs(tmp_path)


def test_peers_stand_side_by_side_and_seeds_of_a_run_together():
    pair, alone = Run(), Run(method="alone", peers=3)
    placed = peers_by_run([pair, alone, pair.replace(seed=1), alone.replace(seed=1)])
    assert list(placed) == [pair, pair.replace(seed=1), alone, alone.replace(seed=1)]
    assert list(placed.values()) == [range(2), range(2, 4), range(4, 7), range(7, 10)]


def test_a_checkpoint_does_not_share_memory_with_what_goes_on_training():
    cohort, optimizer = trained("stack")
    state = checkpoint.optimizer_state(optimizer, leaves(cohort))
    before = copy.deepcopy(state)
    optimizer.zero_grad()
    cohort(small_nets.images(6)).logits.square().mean().backward()
    optimizer.step()
    torch.testing.assert_close(state, before, rtol=0, atol=0)
