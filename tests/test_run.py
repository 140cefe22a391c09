import dataclasses
import json
from typing import get_args

import pytest
from hypothesis import given, settings, strategies as st

from codistill.checkpoint import read_runs
from codistill.run import Execute, Run, Update
from codistill.spec import Spec, UnknownName

specs = st.sampled_from(["cnn", "mlp:width=8", "resnet20:shortcut=a", "mine.nets:Small,3"])
numbers = st.floats(0.0, 1e6)


@st.composite
def runs(draw):
    peers = draw(st.integers(1, 4))
    return Run(
        data=draw(specs),
        data_root=draw(st.none() | st.text(max_size=8)),
        download=draw(st.booleans()),
        labels=draw(st.none() | st.integers(1, 1000)),
        valid=draw(st.floats(0.0, 1.0) | st.integers(0, 99)),
        augment=tuple(draw(st.lists(specs, max_size=3))),
        models=tuple(draw(st.lists(specs, min_size=1, max_size=1) | st.lists(specs, min_size=peers, max_size=peers))),
        peers=peers,
        method=draw(specs),
        update=draw(st.sampled_from(get_args(Update))),
        optimizer=draw(st.sampled_from(["sgd", "adam", "adamw"])),
        learning_rate=draw(numbers),
        nesterov=draw(st.booleans()),
        betas=(draw(st.floats(0.0, 0.99)), draw(st.floats(0.0, 0.99))),
        warmup=draw(st.floats(0.0, 0.9)),
        clip=draw(st.none() | st.floats(1e-6, 10.0)),
        epochs=draw(st.integers(1, 999)),
        seed=draw(st.integers(-(2**40), 2**40)),
        execute=draw(st.sampled_from(get_args(Execute))),
        precision=draw(st.sampled_from(["float32", "bfloat16", "float64"])),
    )


@given(runs())
@settings(derandomize=True, deadline=None, max_examples=40)
def test_json_gives_back_an_equal_run(run):
    again = Run.from_json(run.to_json())
    assert again == run
    assert hash(again) == hash(run)
    assert again.to_json() == run.to_json()
    for field in dataclasses.fields(Run):
        assert type(getattr(again, field.name)) is type(getattr(run, field.name)), field.name
    assert Run.from_dict(json.loads(json.dumps(run.as_dict()))) == run


def test_the_defaults_are_a_run_and_settings_left_out_of_json_are_the_defaults():
    assert Run.from_json("{}") == Run()
    assert Run.from_dict({"peers": 3}) == Run(peers=3)


def test_whole_numbers_and_lists_are_taken_for_what_they_mean():
    run = Run(learning_rate=1, clip=2, models=["cnn", "mlp"], betas=[0, 0.5])
    assert run == Run(learning_rate=1.0, clip=2.0, models=("cnn", "mlp"), betas=(0.0, 0.5))
    assert type(run.learning_rate) is float
    assert type(run.betas[0]) is float
    assert run.betas == (0.0, 0.5)


BROKEN = [
    ({"peers": 0}, "peers=0: give a whole number of at least 1"),
    ({"epochs": 0}, "epochs=0: give a whole number of at least 1"),
    ({"batch": 0}, "batch=0: give a whole number of at least 1"),
    ({"evaluate_every": -1}, "evaluate_every=-1: give a whole number of at least 0"),
    ({"checkpoint_every": -1}, "checkpoint_every=-1: give a whole number of at least 0"),
    ({"checkpoint_steps": -1}, "checkpoint_steps=-1: give a whole number of at least 0"),
    ({"learning_rate": -0.1}, "learning_rate=-0.1: give a number at least 0"),
    ({"learning_rate": float("nan")}, "learning_rate=nan: give a number"),
    ({"weight_decay": -1.0}, "weight_decay=-1.0: give a number at least 0"),
    ({"momentum": -1.0}, "momentum=-1.0: give a number at least 0"),
    ({"valid": -1.0}, "valid=-1.0: give a number at least 0"),
    ({"valid": 1.5}, "valid=1.5: give a fraction below 1, or a number of examples"),
    ({"valid": float("inf")}, "valid=inf: give a fraction below 1, or a number"),
    ({"warmup": -0.5}, "warmup=-0.5: give a number at least 0"),
    ({"clip": 0.0}, "clip=0.0: give a number above 0"),
    ({"clip": -1.0}, "clip=-1.0: give a number above 0"),
    ({"clip": float("nan")}, "clip=nan: give a number above 0"),
    ({"peers": 2.0}, "peers=2.0: give a whole number of at least 1"),
    ({"peers": True}, "peers=True: give a whole number of at least 1"),
    ({"seed": "3"}, "seed='3': give a whole number"),
    ({"threads": "two"}, "threads='two': give a whole number of at least 1, or auto"),
    ({"threads": 0}, "threads=0: give a whole number of at least 1, or auto"),
    ({"labels": 0.5}, "labels=0.5: give a whole number of at least 1"),
    ({"learning_rate": "fast"}, "learning_rate='fast': give a number at least 0"),
    ({"learning_rate": True}, "learning_rate=True: give a number"),
    ({"learning_rate": None}, "learning_rate=None: give a number"),
    ({"download": 1}, "download=1: use true or false"),
    ({"method": None}, "method=None: give a spec, name:key=value,key=value, not NoneType"),
    ({"models": "cnn"}, "models='cnn': give a list of specs"),
    ({"models": ("cnn", 3)}, "models=3: give a spec, .* not int"),
    ({"betas": (0.9,)}, r"betas=\(0.9,\): give 2 numbers"),
    ({"betas": (0.9, "x")}, "betas='x': give a number"),
    ({"models": ("cnn", "mlp", "cnn")}, "models='cnn mlp cnn' are 3 networks for peers=2: give one for all peers, or"),
    ({"models": ()}, "models='' are 0 networks for peers=2: give one"),
    ({"method": ""}, "spec '': the name is missing; write name:key=value"),
    ({"augment": ("crop:pad=1,pad=2",)}, "spec 'crop:pad=1,pad=2': 'pad=2' is not a key=value"),
    ({"models": (":width=3",)}, "spec ':width=3': the name is missing"),
]


@pytest.mark.parametrize(("changes", "said"), BROKEN)
def test_a_refusal_names_the_setting_the_value_and_the_fix(changes, said):
    for make in (lambda: Run(**changes), lambda: Run().replace(**changes), lambda: Run.from_dict(changes)):
        with pytest.raises(ValueError, match=said):
            make()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"update": "in_turns"}, "update='in_turns': give 'together' or 'in_turn' or 'fresh_batch'"),
        ({"execute": "stacked"}, "execute='stacked': give 'auto' or 'loop' or 'stack'"),
        ({"optimizer": "adamx"}, "optimizer='adamx': give 'sgd' or 'adam' or 'adamw'"),
        ({"precision": "float16"}, "precision='float16': give 'float32' or 'bfloat16' or 'float64'"),
    ],
)
def test_an_invalid_choice_gets_the_valid_ones(changes, said):
    with pytest.raises(ValueError, match=said):
        Run(**changes)


def test_a_misspelt_setting_gets_the_nearest():
    for make in (Run().replace, lambda **s: Run.from_dict(s), lambda **s: Run.from_json(json.dumps(s))):
        with pytest.raises(
            UnknownName, match="no setting of a run is called 'learning_rat': did you mean 'learning_rate'"
        ):
            make(learning_rat=0.1)


def test_a_run_cannot_be_changed_and_replace_leaves_it_alone():
    run = Run()
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.peers = 3
    assert run.replace(peers=3) == Run(peers=3)
    assert run == Run()


def test_its_name_says_what_tells_runs_apart():
    assert Run(method="dml:temperature=3", seed=4).name == "dml:temperature=3/peers=2/seed=4"
    assert Run(update="in_turn").name == "dml/peers=2/update=in_turn/seed=0"


def test_every_peers_network():
    assert Run(models=("cnn",), peers=3).networks() == (Spec("cnn"),) * 3
    assert Run(models=("cnn", "mlp")).networks() == (Spec("cnn"), Spec("mlp"))


def test_every_setting_is_explained():
    import inspect

    source = inspect.getsource(Run)
    for field in dataclasses.fields(Run):
        line = next(i for i, text in enumerate(source.splitlines()) if text.startswith(f"    {field.name}: "))
        assert source.splitlines()[line + 1].strip().startswith('"""'), field.name


OLD = """[
 {
  "data": "hf:uoft-cs/cifar10,size=32",
  "data_root": null,
  "labels": 300,
  "valid": 0.2,
  "augment": ["crop:pad=4,mode=zeros", "flip"],
  "models": ["resnet20:shortcut=a", "my.nets:Small,width=8,start=runs/first,start_peer=1"],
  "peers": 2,
  "method": "dml:weight=0.5,temperature=3,graph=none",
  "update": "in_turn",
  "optimizer": "adam",
  "betas": [0.5, 0.999],
  "schedule": "step:at=0.3/0.6/0.9,by=0.1",
  "clip": 1.5,
  "execute": "stack",
  "precision": "float32"
 }
]"""


def test_runs_that_were_written_as_text_open_and_are_written_as_the_same_text(tmp_path):
    (tmp_path / "runs.json").write_text(OLD)
    (run,) = read_runs(tmp_path)
    assert run.method == Spec("dml", (), {"weight": 0.5, "temperature": 3, "graph": None})
    assert run.models[1] == Spec("my.nets", ("Small",), {"width": 8, "start": "runs/first", "start_peer": 1})
    assert run.schedule == Spec("step", (), {"at": "0.3/0.6/0.9", "by": 0.1})
    (old,) = json.loads(OLD)
    assert {name: run.as_dict()[name] for name in old} == old
    assert Run.from_dict(old) == run


def test_the_order_of_a_specs_options_makes_no_other_run():
    one, other = Run(method="dml:weight=2,temperature=3"), Run(method="dml:temperature=3,weight=2")
    assert one == other
    assert hash(one) == hash(other)
