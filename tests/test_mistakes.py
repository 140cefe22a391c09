"""What a new user gets wrong: each mistake has one message that names the setting, the value and the fix."""

import copy
import sys
import warnings

import pytest
import torch
from torch import nn

from codistill import DML, Batch, Cohort, DataSet, Examples, Run, cli, data, methods
from codistill.checkpoint import latest
from codistill.discovery import Untrusted
from codistill.methods import IdenticalPeers
from codistill.models.parts.trial import try_out
from codistill.spec import UnknownName
from codistill.training.loop import resume, train
from codistill.training.records import Diverged

RUN = Run(labels=60, batch=20, epochs=1, execute="loop")


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def net(outputs=10):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


def different(count=2, outputs=10):
    torch.manual_seed(0)
    return [net(outputs) for _ in range(count)]


def start(run=RUN, **settings):
    return list(train(run, **settings))


# Data ---------------------------------------------------------------------------------------------------------------


def pictures(y):
    return Examples(torch.zeros(len(y), 1, 8, 8), torch.tensor(y))


def test_labels_that_are_no_class():
    with pytest.raises(ValueError, match=r"train.y holds 3: labels go from 0 to 2, -1 is unlabelled"):
        DataSet(pictures([0, 1, 3]), pictures([0, 1]), 3, "classes", (0.5,), (0.5,), ())
    with pytest.raises(ValueError, match=r"test.y holds -2: labels go from 0 to 2"):
        DataSet(pictures([0, 1, 2]), pictures([0, -2]), 3, "classes", (0.5,), (0.5,), ())


def test_labels_of_another_type():
    with pytest.raises(ValueError, match=r"y is torch.float32 of shape \[3\]: make it int64 \[N\] \(y.long\(\)\)"):
        Examples(torch.zeros(3, 1, 8, 8), torch.zeros(3))


def test_more_labels_than_there_are(digits):
    with pytest.raises(ValueError, match="labels=1200, but there are only 1000 labelled examples: lower it"):
        start(RUN.replace(labels=1200), dataset=digits)


def test_a_validation_part_that_leaves_too_little(digits):
    with pytest.raises(ValueError, match=r"labels=60, valid=950.*: lower one by 10"):
        start(RUN.replace(valid=950), dataset=digits)
    with pytest.raises(ValueError, match=r"labels=None, valid=995.*5 labels for 10 classes: lower valid"):
        start(RUN.replace(labels=None, valid=995), dataset=digits)
    with pytest.raises(ValueError, match="valid=1001, but there are only 1000 labelled examples: lower it"):
        start(RUN.replace(labels=None, valid=1001), dataset=digits)


def test_fewer_labels_than_classes(digits):
    with pytest.raises(ValueError, match=r"5 labels for 10 classes: raise labels"):
        start(RUN.replace(labels=5, batch=5), dataset=digits)


def test_a_batch_that_is_bigger_than_the_data(digits):
    with pytest.raises(ValueError, match=r"batch=64: there are 60 .*: set batch to 60 or less \(--batch 60\)"):
        start(RUN.replace(batch=64), dataset=digits)
    start(RUN.replace(batch=60), dataset=digits)


def test_a_last_batch_of_one(digits):
    with pytest.raises(ValueError, match=r"batch=59: .* set drop_last=True or change batch"):
        start(RUN.replace(batch=59), dataset=digits)


def test_evaluating_on_the_way_without_a_validation_part(digits):
    with pytest.raises(ValueError, match="evaluate_every=2: there is nothing to evaluate on; set valid"):
        start(RUN.replace(evaluate_every=2), dataset=digits)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number(value):
    good, bad = pictures([0, 1] * 600), pictures([0, 1] * 600)
    bad.x[1100, 0, 3, 4] = value
    with pytest.raises(ValueError, match=r"^train, example 1100 holds an invalid value \(nan or inf\)"):
        DataSet(bad, good, 2, "classes", (0.5,), (0.5,), ())
    with pytest.raises(ValueError, match="^test, example 1100 holds an invalid value"):
        DataSet(good, bad, 2, "classes", (0.5,), (0.5,), ())
    with pytest.raises(ValueError, match="^train, example 1100 holds an invalid value"):
        data.from_dataset(zip(bad.x, bad.y, strict=True), zip(good.x, good.y, strict=True))
    for mean, std in (((value,), (0.5,)), ((0.5,), (value,))):
        with pytest.raises(ValueError, match=r"=\((nan|inf),\): every value must be a number"):
            DataSet(good, good, 2, "classes", mean, std, ())


@pytest.mark.parametrize("given", [[], [(torch.zeros(1, 8, 8), 0)], (1, 2)])
def test_data_that_are_no_data_set(given):
    kind = type(given).__name__
    with pytest.raises(
        ValueError, match=rf"dataset is a {kind}: give a DataSet, codistill.data.from_dataset\(train, test\)"
    ):
        start(dataset=given)


def test_a_data_folder_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        start(RUN.replace(data="folder", data_root=str(tmp_path / "nowhere")))
    with pytest.raises(FileNotFoundError, match="download"):
        start(RUN.replace(data="cifar10", data_root=str(tmp_path)))


def test_a_data_folder_that_is_missing_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"(?s)^codistill: error: cifar10 was not found.*--data-root.*--download"):
        cli.main(["train", "--data", "cifar10", "--data-root", "nowhere"])
    assert not list(tmp_path.iterdir())


# Networks -----------------------------------------------------------------------------------------------------------


def test_networks_of_another_number_of_classes(digits):
    with pytest.raises(ValueError, match="give 7 classes, data='python' has 10: build them for as many"):
        start(dataset=digits, networks=different(outputs=7))


def test_networks_that_disagree_on_the_classes(digits):
    with pytest.raises(ValueError, match="peers disagree on the shape of their logits: .* build them for the same"):
        start(dataset=digits, networks=[net(10), net(7)])


class Odd(nn.Module):
    """Returns what a test wants."""

    def __init__(self, change):
        super().__init__()
        self.fc, self.change = nn.Linear(64, 10), change

    def forward(self, x):
        return self.change(self.fc(x.flatten(1)))


@pytest.mark.parametrize("execute", ["loop", "stack", "auto"])
def test_outputs_of_a_wrong_shape(execute, digits):
    torch.manual_seed(0)
    for change, shape in ((lambda z: z[:, None], r"\[20, 1, 10\]"), (lambda z: z.mean(0), r"\[10\]")):
        nets = [Odd(change), Odd(change)]
        with pytest.raises(ValueError, match=rf"gives outputs of shape {shape} for a batch of 20: .*\[20, 10\]"):
            start(RUN.replace(execute=execute), dataset=digits, networks=nets)


BAD = """import torch
from torch import nn


class Raises(nn.Module):
    def __init__(self, classes, shape):
        super().__init__()
        self.fc = nn.Linear(7, classes)

    def forward(self, x):
        x = x.flatten(1)
        return self.fc(x)


class Key(Raises):
    def forward(self, x):
        return {}["logits"]


def wrong():
    return 3
"""


@pytest.fixture
def badnet(tmp_path, monkeypatch):
    (tmp_path / "badnet.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("badnet", None)


@pytest.mark.usefixtures("badnet")
@pytest.mark.parametrize("execute", ["auto", "loop", "stack"])
@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_a_bug_in_a_network_of_your_own(execute, precision, digits):
    words = r"^peer 1 \(badnet:Raises\) fails on inputs \[2, 1, 8, 8\]: RuntimeError: mat1 .*, in badnet.py, line 12$"
    run = RUN.replace(execute=execute, precision=precision, models=("cnn", "badnet:Raises"))
    with pytest.raises(ValueError, match=words) as error:
        start(run, dataset=digits)
    assert isinstance(error.value.__cause__, RuntimeError)
    with pytest.raises(ValueError, match=r"^peer 0 \(badnet:Key\) .*: KeyError: 'logits', in badnet.py, line 17$"):
        start(run.replace(models=("badnet:Key",)), dataset=digits)


@pytest.mark.usefixtures("badnet")
def test_a_bug_in_a_network_of_your_own_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^codistill: error: peer 0 \(badnet:Raises\) fails .*line 12$"):
        cli.main(["train", "--models", "badnet:Raises"])
    with pytest.raises(SystemExit, match=r"^codistill: error: teacher='badnet:Raises' fails on .*line 12$"):
        cli.main(["train", "--models", "cnn", "--method", "kd:teacher=badnet:Raises"])


def test_a_network_that_was_given_and_fails(digits):
    words = r"^peer 1 \(Linear\) fails on inputs \[2, 1, 8, 8\]: RuntimeError: mat1 and mat2 [^,]*$"
    with pytest.raises(ValueError, match=words):
        start(RUN.replace(execute="auto"), dataset=digits, networks=[net(), nn.Linear(3, 3)])


def test_trying_a_network_leaves_it_as_it_was(digits):
    own = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(), net())
    own[0].eval()
    before = copy.deepcopy(own.state_dict())
    state = torch.get_rng_state()
    try_out("it", own, digits.train.x[:2].float())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in own.state_dict().items())
    assert [own.training, own[0].training, own[1].training] == [True, False, True]


def test_outputs_that_are_no_tensor(digits):
    with pytest.raises(TypeError, match="^Odd returned a tuple of 2: let its forward return the logits"):
        start(dataset=digits, networks=[Odd(lambda z: (z, z)), Odd(lambda z: (z, z))])


def test_copies_of_one_network_have_nothing_to_teach_each_other(digits):
    one = net()
    with pytest.warns(IdenticalPeers, match=r"peers 1 and 0 start with identical weights.*a seed of its own"):
        start(dataset=digits, networks=[one, copy.deepcopy(one)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(RUN.replace(method="alone"), dataset=digits, networks=[one, copy.deepcopy(one)])


def test_copies_in_a_loop_of_your_own():
    one = net()
    method, batch = DML(), Batch(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 3]))
    with pytest.warns(IdenticalPeers, match="not by a deep copy"):
        method(Cohort([one, copy.deepcopy(one)]), batch)


def test_one_network_given_twice():
    one = net()
    with pytest.raises(ValueError, match="peer 1 is the very network of an earlier peer"):
        Cohort([one, one])


def test_one_spec_too_many():
    with pytest.raises(ValueError, match="models='cnn mlp cnn' are 3 networks for peers=2: give one for all peers, or"):
        RUN.replace(models=("cnn", "mlp", "cnn"))


# Methods ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dml", "dml_ensemble"])
def test_mutual_learning_with_one_network(method, digits):
    words = f"peers=1: '{method}' has nobody to learn from; set peers to 2 or more, or method to alone"
    with pytest.raises(ValueError, match=words):
        start(RUN.replace(method=method, peers=1), dataset=digits)
    start(RUN.replace(method="alone", peers=1), dataset=digits)


def test_an_option_that_a_method_does_not_have(digits):
    with pytest.raises(
        UnknownName, match="no option of method 'dml' is called 'temprature': did you mean 'temperature'"
    ):
        start(RUN.replace(method="dml:temprature=3"), dataset=digits)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("dml:weight=-1", "weight=-1: give a number at least 0"),
        ("dml:weight=much", "weight='much': give a number at least 0"),
        ("dml:temperature=0", "temperature=0: give a number"),
        ("dml:graph=rnig", "no graph is called 'rnig': did you mean 'ring'"),
        ("dml:divergence=lk", "is called 'lk': did you mean 'kl'"),
        ("alone:label_smoothing=2", "label_smoothing=2: give a number from 0 to 1"),
    ],
)
def test_a_value_that_a_method_refuses(spec, words):
    with pytest.raises(ValueError, match=words):
        methods.get(spec)


@pytest.mark.parametrize("spec", [":weight=2", "", "dml:=3", "dml:weight=1,weight=2", "dml:two words=3"])
def test_a_spec_that_is_malformed(spec):
    with pytest.raises(ValueError, match="the name is missing|is not a key=value"):
        RUN.replace(method=spec)


def test_a_module_that_is_not_there():
    with pytest.raises(UnknownName, match="no method is called 'my_modul'"):
        methods.get("my_modul:Mine")
    with pytest.raises(UnknownName, match="no method in module torch is called 'Mine'"):
        methods.get("torch:Mine")
    with pytest.raises(TypeError, match="Tensor'>, not a Method"):
        methods.get("torch:Tensor")
    with pytest.raises(Untrusted, match="json is of Python's standard library, which holds no method"):
        methods.get("json:JSONDecoder")


def test_a_student_without_a_teacher(digits):
    with pytest.raises(ValueError, match="teacher"):
        start(RUN.replace(method="kd"), dataset=digits)


# Settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs=0: give a whole number of at least 1"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0: give a number at least 0"),
        ({"learning_rate": "0.1"}, "learning_rate='0.1': give a number at least 0"),
        ({"peers": 2.5}, "peers=2.5: give a whole number of at least 1"),
        ({"models": "cnn"}, "models='cnn': give a list of specs"),
        ({"update": "in turn"}, "update='in turn': give 'together' or 'in_turn' or 'fresh_batch'"),
        ({"clip": 0.0}, "clip=0.0: give a number above 0"),
        ({"epoch": 3}, "no setting of a run is called 'epoch': did you mean 'epochs'"),
    ],
)
def test_an_invalid_setting(settings, words):
    with pytest.raises(ValueError, match=words):
        RUN.replace(**settings)


def test_a_warmup_as_long_as_the_training(digits):
    with pytest.raises(ValueError, match=r"warmup=1.0: give a number from 0 to below 1"):
        start(RUN.replace(warmup=1.0), dataset=digits)


# Training -----------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number(digits):
    torch.manual_seed(0)
    nets = [Odd(lambda z: z), Odd(lambda z: z * float("nan"))]
    with pytest.raises(
        Diverged,
        match=r"the task loss of peer 1 is nan in step 1 .*, samples [ 0-9.()]+: lower learning_rate=0.1, or",
    ):
        start(dataset=digits, networks=nets)


def test_a_rate_that_is_too_high_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--labels", "60", "--batch", "20", "--epochs", "1", "--learning-rate", "1e9", "--name", "high"]
    with pytest.raises(SystemExit, match=r"codistill: error: dml/peers=2/seed=0: .*lower learning_rate=1e\+09"):
        cli.main(words)


def test_a_folder_that_holds_a_run(tmp_path, digits):
    start(dataset=digits, folder=tmp_path)
    with pytest.raises(FileExistsError, match="holds a run already: resume it, or choose another folder"):
        start(dataset=digits, folder=tmp_path)


def test_a_checkpoint_that_is_broken(tmp_path, digits):
    start(dataset=digits, folder=tmp_path)
    file = latest(tmp_path) / "state.safetensors"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"checkpoint .* cannot be read .*: remove .* to start again"):
        next(resume(tmp_path, dataset=digits))
    with pytest.raises(SystemExit, match=r"codistill: error: checkpoint .* cannot be read"):
        cli.main(["resume", str(tmp_path)])


def test_a_device_that_is_not_there(digits):
    with pytest.raises(ValueError, match=r"device='cuda:99' is not there \(.*\): set device=cpu"):
        start(RUN.replace(device="cuda:99"), dataset=digits)
