"""Networks opened from a run's folder: the same answers as in evaluation, without data and from anywhere."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import codistill
from codistill import data
from codistill.cohort.collection import embed
from codistill.data.conversion import from_dataset
from codistill.deployment.exporting import export
from codistill.files import append_lines
from codistill.run import Run
from codistill.spec import UnknownName, WrongKind
from codistill.study import Study, compare
from codistill.training.evaluate import predictions
from codistill.training.loop import restored, train
from codistill.training.records import logged, read_log
from open_digits import open_digits
from small_images import save

RUN = Run(models=("cnn:width=4", "mlp:hidden=8"), labels=60, valid=50, batch=20, epochs=2, evaluate_every=1)


class Own(nn.Sequential):
    """A network of the test's."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))


def rewritten(path, lines):
    """A log of other lines."""
    path.unlink()
    append_lines(path, lines)


def trained(run, folder, **given):
    list(logged(train(run, folder, **given), folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trained(RUN, tmp_path_factory.mktemp("opened") / "run")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A run on image files."""
    home = tmp_path_factory.mktemp("images")
    for label, name in enumerate(("cat", "dog")):
        for number in range(10):
            save(home / "data" / name / f"{number}.png", seed=10 * label + number, size=(20 + number, 18))
    run = Run(data="folder:size=8", data_root=str(home / "data"), models=("cnn:width=4",), batch=4, epochs=1, seed=3)
    return trained(run, home / "run")


def test_each_network_and_the_ensemble_answer_as_in_evaluation(folder):
    fleet = restored(folder)
    ((_, logits_PNC, _),) = predictions(fleet, "test")
    x = fleet.dataset.test.x
    for peer in (0, 1):
        net = codistill.load(folder, peer)
        with torch.no_grad():
            torch.testing.assert_close(net(net.preprocess(x)), logits_PNC[peer], rtol=1e-5, atol=1e-6)
    net = codistill.load(folder, "ensemble")
    with torch.no_grad():
        mean = torch.stack([logits.double().softmax(-1) for logits in logits_PNC]).mean(0)
        torch.testing.assert_close(net.probabilities(net.preprocess(x)).double(), mean, rtol=1e-5, atol=1e-6)
    assert net.classes == fleet.dataset.names
    assert not net.training


def test_image_files_are_preprocessed_as_in_training(images, monkeypatch, tmp_path):
    fleet = restored(images)
    ((_, logits_PNC, _),) = predictions(fleet, "test")
    moved = shutil.copytree(images, tmp_path / "elsewhere" / "run")
    shutil.copytree(images.parent / "data", tmp_path / "files")
    monkeypatch.chdir(tmp_path / "elsewhere")
    net = codistill.load("run", 1)
    paths = sorted((tmp_path / "files").glob("*/*.png"))
    x = net.preprocess(paths)
    every = torch.cat([fleet.dataset.train.x, fleet.dataset.test.x])
    assert {tuple(one.flatten().tolist()) for one in net.preprocess.raw(paths)} == {
        tuple(one.flatten().tolist()) for one in every
    }
    with torch.no_grad():
        answers = net(x)
    for answer in logits_PNC[1]:  # the test part's, in the files' order or not
        assert (answers - answer).abs().amax(1).min() < 1e-5
    assert moved.is_dir()
    assert net.classes == ("cat", "dog")


def test_every_form_of_an_image_is_the_same_input(images):
    preprocess = codistill.load(images).preprocess
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = preprocess(tensor)
    assert expected.shape == (1, 3, 8, 8)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preprocess.about.mean, preprocess.about.std))
    torch.testing.assert_close(expected[0], (tensor.double() / 255 - mean.double()).div(std.double()).float())
    for form in (pixels, Image.fromarray(pixels), tensor[None], tensor.float() / 255, [tensor], (pixels,)):
        torch.testing.assert_close(preprocess(form), expected, rtol=1e-6, atol=1e-6)
    assert preprocess([pixels, tensor.float() / 255]).shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.rand(3, 8, 8) * 255, "floating images go from 0 to 1"),
        (torch.randn(3, 8, 8), "floating images go from 0 to 1"),
        (torch.zeros(3, 9, 8, dtype=torch.uint8), r"uint8 of shape \[3, 9, 8\]: these networks take \[3, 8, 8\]"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64 of shape"),
        (3, "a int was given"),
        ([], "nothing to preprocess"),
    ],
)
def test_another_input_is_an_error_that_says_what_is_taken(images, given, message):
    with pytest.raises((ValueError, WrongKind), match=message):
        codistill.load(images).preprocess(given)


def test_the_best_is_chosen_on_validation_data(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "run")
    last = [line for line in read_log(copy) if line["kind"] == "epoch"][-1]["valid_accuracy"]
    assert codistill.load(copy).name.startswith(f"network {int(last[1] > last[0])} ")
    log = read_log(copy)
    for best in (0, 1):
        for line in log:
            if line["kind"] == "epoch":
                line["valid_accuracy"] = [0.5 + (peer == best) / 4 for peer in range(2)]
        rewritten(copy / "log.jsonl", log)
        net = codistill.load(copy)
        assert net.name.startswith(f"network {best} ")
        assert net.chosen == "the best of 2 on validation data, accuracy 75.00%"
    for line in log:
        line.pop("valid_accuracy", None)
    rewritten(copy / "log.jsonl", log)
    net = codistill.load(copy)  # the test part's results are there, and choose nothing
    assert (net.name, net.chosen) == (
        "network 0 (cnn:width=4)",
        "the first of 2: nothing was measured on validation data",
    )


def test_where_a_network_computes_is_said(folder, tmp_path):
    assert codistill.load(folder).device.type == "cpu"
    with pytest.raises(ValueError, match="device='gpu' is not there: give auto, cpu, cuda"):
        codistill.load(folder, device="gpu")
    with pytest.raises(ValueError, match="device='cuda': only --format torch is bound to a device"):
        export(folder, tmp_path / "out", device="cuda", format="onnx")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"device='cuda' is not there .*set device=cpu"):
            codistill.load(folder, device="cuda")
        assert codistill.load(folder, device="auto").device.type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("network", [0, "ensemble"])
def test_a_gpu_answers_the_same(folder, tmp_path, network):
    x = data.load("digits").test.x[:9]
    here, there = (codistill.load(folder, network, device=device) for device in ("cpu", "auto"))
    assert there.device.type == "cuda"
    expected = here.probabilities(here.preprocess(x)).detach()
    torch.testing.assert_close(there.probabilities(there.preprocess(x)).detach().cpu(), expected, rtol=1e-4, atol=1e-5)
    path = export(folder, tmp_path / "out", network, format="torch", device="cuda")
    answers = torch.export.load(path).module()(x.cuda())
    torch.testing.assert_close(answers.detach().cpu(), expected, rtol=1e-4, atol=1e-5)


def test_a_network_goes_by_its_model(folder):
    assert codistill.load(folder, "mlp:hidden=8").name == "network 1 (mlp:hidden=8)"
    assert codistill.load(folder, "mlp").name == "network 1 (mlp:hidden=8)"
    assert codistill.load(folder, "1").name == "network 1 (mlp:hidden=8)"
    with pytest.raises(
        UnknownName, match=r"no network of this run is called 'mlpp': there are: 0, 1, best, cnn:width=4"
    ):
        codistill.load(folder, "mlpp")
    with pytest.raises(ValueError, match="network=2: this run has the networks 0 to 1"):
        codistill.load(folder, 2)


def test_a_comparison_is_opened_by_row_and_seed(tmp_path, monkeypatch):
    from codistill.study import costs

    monkeypatch.setattr(costs, "TIMED_ROUNDS", 1)
    base = RUN.replace(models=("mlp:hidden=8",), epochs=1, valid=0.0, evaluate_every=0)
    list(compare(Study("tiny", base, ("dml", "dml:weight=2"), (0, 4), quick=True), tmp_path / "study"))
    part = tmp_path / "study" / "parts" / "000"
    fleet = restored(part)
    x = fleet.dataset.test.x[:20]
    answers = {(str(run.method), run.seed): logits for run, logits, _ in predictions(fleet, "test")}
    for row, method, seed in (
        ("alone", "alone", 4),
        ("dml:peers=2", "dml", 0),
        ("dml:peers=2,weight=2", "dml:weight=2", 4),
    ):
        net = codistill.load(tmp_path / "study", 1, row=row, seed=seed)
        with torch.no_grad():
            torch.testing.assert_close(net(net.preprocess(x)), answers[method, seed][1, :20], rtol=1e-5, atol=1e-6)
        again = codistill.load(part, 1, row=method, seed=seed)
        torch.testing.assert_close(net.state_dict(), again.state_dict())
    with pytest.raises(ValueError, match="is a comparison: say which row"):
        codistill.load(tmp_path / "study")
    with pytest.raises(ValueError, match="has several: give one of 'dml:peers=2', 'dml:peers=2,weight=2'"):
        codistill.load(tmp_path / "study", row="dml")
    with pytest.raises(ValueError, match=r"seed=1: row 'alone' of .* has the seeds 0, 4"):
        codistill.load(tmp_path / "study", row="alone", seed=1)
    with pytest.raises(UnknownName, match="did you mean 'alone'"):
        codistill.load(tmp_path / "study", row="alon")
    with pytest.raises(ValueError, match=r"has 6 runs: row="):
        codistill.load(part)


def test_networks_given_in_python_are_given_again(tmp_path):
    nets = [Own(), Own()]
    folder = trained(Run(labels=60, batch=20, epochs=1), tmp_path / "run", dataset=data.load("digits"), networks=nets)
    with pytest.raises(ValueError, match=r"was given in Python .* networks=\[...\]"):
        codistill.load(folder)
    net = codistill.load(folder, 1, networks=[Own(), Own()])
    x = data.load("digits").test.x[:5]
    with torch.no_grad():
        torch.testing.assert_close(net(net.preprocess(x)), nets[1].eval()(net.preprocess(x)))
    with pytest.raises(ValueError, match="1 networks were given for the 2 peers"):
        codistill.load(folder, networks=[Own()])
    with pytest.raises(ValueError, match=r"network 0 of .*: '1.weight' is \[10, 64\], this network's is \[9, 64\]"):
        codistill.load(folder, networks=[nn.Sequential(nn.Flatten(), nn.Linear(64, 9)) for _ in range(2)])


def test_code_of_your_own_is_imported_only_where_it_is_trusted(tmp_path, monkeypatch):
    source = "from torch import nn\nprint('imported')\n\n\ndef net(classes, shape):\n"
    source += "    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))\n"
    (tmp_path / "nets_of_a_stranger.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = trained(RUN.replace(models=("nets_of_a_stranger:net",)), tmp_path / "run")
    sys.modules.pop("nets_of_a_stranger")
    for kind in ("best", "ensemble"):
        with pytest.raises(ValueError, match=r"look at module nets_of_a_stranger, .*trust=True"):
            codistill.load(folder, kind)
        assert "nets_of_a_stranger" not in sys.modules
        assert codistill.load(folder, kind, trust=True).classes
        sys.modules.pop("nets_of_a_stranger")
        assert codistill.load(folder, kind, networks=[Own(), Own()]).classes
        assert "nets_of_a_stranger" not in sys.modules


def test_texts(tmp_path):
    pairs = [(f"a good film {i}", 1) for i in range(12)] + [(f"a bad film {i}", 0) for i in range(12)]
    dataset = from_dataset(pairs, pairs, length=6, vocabulary=60, names=("bad", "good"))
    folder = trained(Run(models=("bigru:hidden=4,embedding=4",), batch=8, epochs=1), tmp_path / "run", dataset=dataset)
    net = codistill.load(folder, "ensemble")
    assert net.classes == ("bad", "good")
    assert torch.equal(net.preprocess([text for text, _ in pairs]), dataset.test.x)
    assert torch.equal(net.preprocess(pairs[0][0]), dataset.test.x[:1])
    assert torch.equal(net.preprocess(dataset.test.x[3]), dataset.test.x[3:4])
    with pytest.raises(WrongKind, match="these networks read texts"):
        net.preprocess(3)


def test_embeddings(tmp_path):
    dataset = open_digits()
    run = Run(data="open_digits:open_digits", models=("cnn:width=4",), epochs=1, batch=32, execute="loop")
    folder = trained(run, tmp_path / "run", dataset=dataset)
    fleet, x = restored(folder, dataset=dataset), dataset.test.x[:7]
    net = codistill.load(folder, 1)
    with torch.no_grad():
        expected = embed(fleet.cohort.eval(), net.preprocess(x), "fc:input")
        torch.testing.assert_close(net(net.preprocess(x)), expected[1])
        both = codistill.load(folder, "ensemble")(net.preprocess(x))
        torch.testing.assert_close(both, torch.cat([e / e.norm(dim=1, keepdim=True) for e in expected], dim=1))
    with pytest.raises(ValueError, match="gives embeddings"):
        net.probabilities(net.preprocess(x))


def test_opening_is_light(folder):
    script = f"""
import sys, codistill
net = codistill.load({str(folder)!r}, "ensemble")
assert net.preprocess
heavy = [m for m in sys.modules if m.startswith(("codistill.training", "codistill.study", "codistill.report",
         "codistill.methods", "codistill.analysis", "codistill.cli"))]
assert not heavy, heavy
others = {{"plotly", "scipy", "sklearn", "jinja2", "rich", "tyro", "tokenizers", "transformers"}} & sys.modules.keys()
assert not others, others
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_folder_that_cannot_be_opened_says_why(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        codistill.load(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "run")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(FileNotFoundError, match=f"no checkpoint yet: codistill resume {copy}"):
        codistill.load(copy)
    (copy / "networks.json").unlink()
    with pytest.raises(FileNotFoundError, match="versions before this one did not write it"):
        codistill.load(copy)
    (tmp_path / "several" / "a").mkdir(parents=True)
    (tmp_path / "several" / "chapters.json").write_text(json.dumps({}))
    (tmp_path / "several" / "a" / "study.json").write_text("{}")
    with pytest.raises(ValueError, match="holds several comparisons: give one of them, such as .*a"):
        codistill.load(tmp_path / "several")
