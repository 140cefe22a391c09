"""Where networks start: files of weights, the networks of a run; resuming needs neither."""

import os
import warnings
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import tiny_transformers as tiny
from codistill import Run, checkpoint, models
from codistill.cli import main
from codistill.data.examples import DataSet, Examples
from codistill.methods import IdenticalPeers
from codistill.models.parts.pretrained import NewHead
from codistill.training import initial_weights as start
from codistill.training.build import build_fleet
from codistill.training.initial_weights import teacher_networks
from codistill.training.loop import restored, resume, train
from codistill.training.records import logged

RUN = Run(data="small", models=("cnn:width=2",), method="dml", epochs=2, batch=8, execute="loop", learning_rate=0.05)
SHAPE = (1, 8, 8)


def small(classes=3):
    return tiny.pictures(classes=classes)


def saved_net(path, classes=3, seed=7, spec="cnn:width=2"):
    net = models.build(spec, classes, SHAPE, seed)
    state = {name: t.contiguous() for name, t in net.state_dict().items()}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return net


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def finish(records):
    return list(records)[-1]


@pytest.fixture
def trained(tmp_path):
    """A finished run of two networks."""
    folder = tmp_path / "trained"
    finish(train(RUN, folder, dataset=small()))
    return folder


# What is loaded -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth"])
def test_a_file_of_weights(ending, tmp_path):
    theirs = saved_net(tmp_path / f"x{ending}")
    net = start.network(f"cnn:start={tmp_path}/x{ending},width=2", small(), seed=0)
    assert same(net, theirs)
    assert not same(net, models.build("cnn:width=2", 3, SHAPE, seed=0))


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_file_as_training_programs_write_it(key, tmp_path):
    theirs = models.build("cnn:width=2", 3, SHAPE, 7)
    state = {f"module.{name}": t for name, t in theirs.state_dict().items()}
    torch.save({key: state, "epoch": 3}, tmp_path / "x.pt")
    assert same(start.network(f"cnn:width=2,start={tmp_path}/x.pt", small()), theirs)


def test_a_runs_folder_gives_its_first_network_or_the_one_that_is_named(trained):
    fleet = restored(trained, dataset=small())
    newest = checkpoint.latest(trained)
    for place in (trained, newest, newest / "peers.safetensors"):
        for more, peer in (("", 0), (",start_peer=0", 0), (",start_peer=1", 1)):
            net = start.network(f"cnn:width=2,start={place}{more}", small(), seed=0)
            assert same(net, fleet.cohort.network(peer))


def test_without_a_start_it_is_what_the_folder_of_models_builds():
    assert same(start.network("cnn:width=2", small(), seed=5), models.build("cnn:width=2", 3, SHAPE, seed=5))
    assert same(start.network("cnn:width=2,start=none", small(), seed=5), models.build("cnn:width=2", 3, SHAPE, 5))


def test_a_head_for_other_classes_is_drawn_by_seed(tmp_path):
    theirs = saved_net(tmp_path / "x.safetensors", classes=5)
    spec = f"cnn:width=2,start={tmp_path}/x.safetensors"
    with pytest.warns(
        NewHead, match=r"start=.*x.safetensors is for 5 classes, not 3: fc.weight, fc.bias begin at rand"
    ):
        a, b = (start.network(spec, small(), seed=seed) for seed in (0, 1))
    assert torch.equal(a.fc.weight, models.build("cnn:width=2", 3, SHAPE, seed=0).fc.weight)
    assert not torch.equal(a.fc.weight, b.fc.weight)
    body = [name for name in theirs.state_dict() if not name.startswith("fc.")]
    assert all(torch.equal(net.state_dict()[name], theirs.state_dict()[name]) for net in (a, b) for name in body)


# Runs -----------------------------------------------------------------------------------------------------------------


def test_a_start_for_all_peers_with_its_head_makes_them_identical_which_is_said(tmp_path):
    theirs = saved_net(tmp_path / "x.safetensors")
    run = RUN.replace(models=(f"cnn:width=2,start={tmp_path}/x.safetensors",))
    fleet = build_fleet([run], dataset=small())
    assert all(same(fleet.cohort.network(i), theirs) for i in (0, 1))
    with pytest.warns(IdenticalPeers, match="start with identical weights.*nor all from one start with its head"):
        finish(train(run, dataset=small()))


def test_a_start_for_all_peers_without_its_head_makes_them_differ(tmp_path):
    saved_net(tmp_path / "x.safetensors", classes=5)
    run = RUN.replace(models=(f"cnn:width=2,start={tmp_path}/x.safetensors",), peers=3)
    with pytest.warns(NewHead):
        nets = [build_fleet([run], dataset=small()).cohort.network(i) for i in range(3)]
    assert all(torch.equal(a.state_dict()["stage1.conv.weight"], b.state_dict()["stage1.conv.weight"])
               for a, b in pairwise(nets))  # fmt: skip
    assert not any(torch.equal(a.fc.weight, b.fc.weight) for a, b in pairwise(nets))
    with warnings.catch_warnings():
        warnings.simplefilter("error", IdenticalPeers)
        warnings.simplefilter("ignore", NewHead)
        finish(train(run, dataset=small()))


def test_a_start_for_one_peer(tmp_path):
    theirs = saved_net(tmp_path / "x.safetensors")
    run = RUN.replace(models=(f"cnn:width=2,start={tmp_path}/x.safetensors", "cnn:width=2"))
    fleet, plain = build_fleet([run], dataset=small()), build_fleet([RUN], dataset=small())
    assert same(fleet.cohort.network(0), theirs)
    assert same(fleet.cohort.network(1), plain.cohort.network(1))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_resuming_needs_no_start_and_ends_bit_for_bit(execute, tmp_path):
    saved_net(tmp_path / "x.safetensors")
    run = RUN.replace(models=(f"cnn:width=2,start={tmp_path}/x.safetensors", "cnn:width=2"), execute=execute)
    whole = finish(train(run, tmp_path / "whole", dataset=small()))
    records = train(run, tmp_path / "cut", dataset=small())
    while next(records).step < 2:
        pass
    records.close()
    (tmp_path / "x.safetensors").unlink()
    again = finish(resume(tmp_path / "cut", dataset=small()))
    assert again.lines == whole.lines
    one, two = (checkpoint.load(checkpoint.latest(tmp_path / name)).peers for name in ("whole", "cut"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert same(restored(tmp_path / "cut", dataset=small()).cohort.network(0),
                restored(tmp_path / "whole", dataset=small()).cohort.network(0))  # fmt: skip


def test_a_run_that_never_came_to_a_checkpoint_needs_its_start(tmp_path):
    run = RUN.replace(models=(f"cnn:width=2,start={tmp_path}/x.safetensors",))
    checkpoint.write_runs(tmp_path / "begun", [run])
    with pytest.raises(FileNotFoundError, match=r"start=.*x.safetensors is not there"):
        list(resume(tmp_path / "begun", dataset=small()))


def test_a_teacher_that_had_a_start_is_a_teacher_without_it(tmp_path):
    saved_net(tmp_path / "x.safetensors")
    run = RUN.replace(models=(f"cnn:width=2,start={tmp_path}/x.safetensors", "cnn:width=2"))
    finish(train(run, tmp_path / "teacher", dataset=small()))
    (tmp_path / "x.safetensors").unlink()
    nets = teacher_networks(tmp_path / "teacher", RUN, small())
    assert same(nets[0], restored(tmp_path / "teacher", dataset=small()).cohort.network(0))


# Mistakes -------------------------------------------------------------------------------------------------------------


class Harmful:
    def __reduce__(self):
        return (os.mkdir, (os.environ["HARM"],))


def test_a_file_that_could_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    torch.save({"w": Harmful()}, tmp_path / "harmful.pt")
    for name in ("module", "harmful"):
        with pytest.raises(ValueError, match=rf"start=.*{name}.pt holds more than tensors, .*save net.state_dict\(\)"):
            start.weights_of(tmp_path / f"{name}.pt")
    assert not (tmp_path / "harm").exists()


def test_what_is_no_start_is_said(tmp_path, trained):
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\0\0")
    (tmp_path / "cut.pt").write_bytes(b"no archive")
    (tmp_path / "zip.pt").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "x.npz").write_bytes(b"")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    saved_net(tmp_path / "wide.safetensors", spec="cnn:width=3")
    saved_net(tmp_path / "mlp.safetensors", spec="mlp")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text("{}")
    checkpoint.write_runs(tmp_path / "begun", [RUN])
    messages = {
        "not-there.pt": r"start=.*not-there.pt is not there: give a file of weights, or the folder of a run",
        "cut.safetensors": r"start=.*cut.safetensors cannot be read .*: save it again",
        "cut.pt": r"start=.*cut.pt .*: save ",
        "zip.pt": r"start=.*zip.pt .*: save ",
        "x.npz": r"start=.*x.npz: give a file that ends in .safetensors or .pt",
        "list.pt": r"start=.*list.pt is no state dict: save net.state_dict\(\)",
        "wide.safetensors": r"start=.*wide.safetensors: '.*' has shape \[3, .*\] there and \[2, .*\] in this network",
        "mlp.safetensors": r"start=.*mlp.safetensors: '.*' is not in it: give the weights of such a network",
        "study": r"study is a comparison: give one of its runs, .*parts/NNN",
        "begun": r"begun has no checkpoint: give the folder of a finished run",
        ".": r"is not the folder of a run: .*runs.json is missing",
        "trained,start_peer=2": r"start_peer=2: .*trained has the networks 0 to 1",
        "trained,start_peer=-1": r"start_peer=-1: .*trained has the networks 0 to 1",
        "trained,start_peer=first": r"start_peer=first: .*trained has the networks 0 to 1",
        "wide.safetensors,start_peer=1": r"start_peer=1: .*wide.safetensors is no run's folder, .*leave it out",
    }
    for what, message in messages.items():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            start.network(f"cnn:width=2,start={tmp_path}/{what}", small())
    with pytest.raises(ValueError, match="start_peer=1 goes with start=FOLDER"):
        start.network("cnn:width=2,start_peer=1", small())


def test_the_command_line_says_it_in_a_line_and_writes_nothing(tmp_path):
    with pytest.raises(SystemExit, match=r"codistill: error: start=.*gone.pt is not there"):
        main(["train", "--models", f"cnn:start={tmp_path}/gone.pt", "--runs", str(tmp_path / "runs")])
    assert not (tmp_path / "runs").exists()


# Networks of transformers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execute", ["loop", "stack", "auto"])
def test_two_text_classifiers_learn_from_each_other(execute, tmp_path):
    tiny.folder(tmp_path / "bert", "bert")
    tiny.folder(tmp_path / "distilbert", "distilbert", n_layers=1)
    run = Run(
        data="texts",
        models=(f"hf:{tmp_path}/bert", f"hf:{tmp_path}/distilbert"),
        method="dml",
        epochs=1,
        batch=8,
        optimizer="adam",
        learning_rate=1e-3,
        execute=execute,
    )
    before = [build_fleet([run], dataset=tiny.texts()).cohort.network(i) for i in (0, 1)]
    records = list(logged(train(run, tmp_path / "run", dataset=tiny.texts()), tmp_path / "run"))
    assert records[-1].steps == 3
    (epoch,) = [r.lines[0]["terms"] for r in records if r.kind == "epoch"]
    assert all(value > 0 for term in ("task", "mimic") for value in epoch[term])
    after = restored(tmp_path / "run", dataset=tiny.texts()).cohort
    for i, net in enumerate(before):
        moved = [not torch.equal(t, after.peer_state(i)[name]) for name, t in net.named_parameters()]
        assert sum(moved) > 0.8 * len(moved)


def test_like_text_classifiers_run_as_a_stack_and_resume_without_their_weights(tmp_path):
    """Only the config has to be there still."""
    tiny.folder(tmp_path / "a", "bert")
    tiny.folder(tmp_path / "b", "bert", seed=1)
    run = Run(data="texts", models=(f"hf:{tmp_path}/a", f"hf:{tmp_path}/b"), method="dml", epochs=1, batch=8,
              execute="stack", learning_rate=0.01)  # fmt: skip
    whole = finish(train(run, tmp_path / "whole", dataset=tiny.texts()))
    records = train(run, tmp_path / "cut", dataset=tiny.texts())
    assert next(records).facts["groups"] == [2]
    next(records)
    records.close()
    for name in ("a", "b"):
        (tmp_path / name / "model.safetensors").unlink()
    assert finish(resume(tmp_path / "cut", dataset=tiny.texts())).lines == whole.lines


def test_text_classifiers_of_several_seeds_run_one_by_one(tmp_path):
    """Each seed has its own batch, and transformers looks whether there is padding in it."""
    tiny.folder(tmp_path / "bert", "bert", num_labels=5)
    run = Run(data="texts", models=(f"hf:{tmp_path}/bert",), method="dml", epochs=1, batch=8, learning_rate=0.01)
    with pytest.warns(NewHead):
        records = list(train([run, run.replace(seed=1)], dataset=tiny.texts()))
    assert records[0].facts["execute"] == "loop"
    with pytest.warns(NewHead), pytest.raises(ValueError, match=r"execute='stack'.*use execute='loop'"):
        list(train([run.replace(execute="stack", seed=seed) for seed in (0, 1)], dataset=tiny.texts()))


def test_an_image_classifier_of_transformers_and_one_of_ours(tmp_path):
    tiny.folder(tmp_path / "vit", "vit")
    run = Run(data="pictures", models=(f"hf:{tmp_path}/vit", "cnn:width=2"), method="dml", epochs=1, batch=8,
              learning_rate=0.01)  # fmt: skip
    end = finish(train(run, dataset=small()))
    assert [row["peer"] for row in end.lines][:2] == [0, 1]


def test_the_same_folder_for_two_peers_is_said(tmp_path):
    tiny.folder(tmp_path, "vit", hidden_dropout_prob=0.0)
    run = Run(data="pictures", models=(f"hf:{tmp_path}",), method="dml", epochs=1, batch=8, execute="loop")
    with pytest.warns(IdenticalPeers):
        finish(train(run, dataset=small()))


def test_a_start_goes_on_from_what_a_network_of_transformers_learnt(tmp_path):
    """A checkpoint of ours holds buffers that a state dict leaves out."""
    tiny.folder(tmp_path / "bert", "bert")
    run = Run(data="texts", models=(f"hf:{tmp_path}/bert",), method="alone", peers=1, epochs=1, batch=8)
    finish(train(run, tmp_path / "run", dataset=tiny.texts()))
    net = start.network(f"hf:{tmp_path}/bert,start={tmp_path}/run", tiny.texts())
    learnt = restored(tmp_path / "run", dataset=tiny.texts()).cohort.network(0)
    assert same(net, learnt)


def test_one_logit_for_a_binary_task(tmp_path):
    tiny.folder(tmp_path / "vit", "vit", num_labels=1)
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    part = Examples(x, torch.arange(16) % 2)
    data = DataSet(part, part, 1, "binary", (0.5,), (0.3,), ())
    run = Run(data="yes or no", models=(f"hf:{tmp_path}/vit", "cnn:width=2"), method="dml", epochs=1, batch=8)
    terms = next(r for r in train(run, dataset=data, part=None) if r.kind == "epoch").lines[0]["terms"]
    assert all(value > 0 for value in terms["task"])


def test_a_misspelt_start_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="no option of model 'cnn' is called 'strat': did you mean 'start'"):
        start.network("cnn:strat=x.pt", small())
