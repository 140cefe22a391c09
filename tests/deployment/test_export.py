"""Exports, each opened without this package and asked the same as the network that it was made of."""

import dataclasses
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import codistill
import tiny_transformers as tiny
from codistill import cli, data, models
from codistill.data.conversion import from_dataset
from codistill.data.examples import Text
from codistill.deployment import exporting
from codistill.deployment.exporting import NotExportable, export
from codistill.deployment.naming import public
from codistill.run import Run
from codistill.study import Study, compare
from codistill.training.loop import train
from codistill.training.records import logged
from open_digits import open_digits
from small_images import save

RUN = Run(models=("cnn:width=4", "mlp:hidden=8"), labels=60, batch=20, epochs=2)


def trained(run, folder, **given):
    list(logged(train(run, folder, **given), folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return trained(RUN, tmp_path_factory.mktemp("exported") / "run")


def runtime(path):
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0])


def program(path):
    return torch.export.load(path).module()


OPENED = {"onnx": runtime, "torch": program}


@pytest.mark.parametrize("network", [0, "ensemble"])
def test_the_plain_state_dict(folder, tmp_path, network):
    path = export(folder, tmp_path / "out", network)
    files = ["README.md", "config.json", "model.safetensors", "networks.json"]
    assert sorted(p.name for p in path.parent.iterdir()) == files
    state, config = load_file(path), json.loads((path.parent / "config.json").read_text())
    net, x = codistill.load(folder, network), data.load("digits").test.x[:5]
    mean, std = (torch.tensor(config["input"][key]).view(-1, 1, 1) for key in ("mean", "std"))
    normal, posteriors = (x.float() / 255 - mean) / std, []
    for number, model in enumerate(config["models"]):
        plain = models.build(model, 10, (1, 8, 8)).eval()
        prefix = f"{number}." if config["ensemble"] else ""
        plain.load_state_dict({n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)})
        with torch.no_grad():
            posteriors.append(plain(normal).softmax(1))
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(posteriors).mean(0), net.probabilities(net.preprocess(x)))
    assert config["classes"] == list(net.classes)
    assert config["output"] == "logits"


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_a_program_takes_bytes_in_batches_of_any_size(folder, tmp_path, format):
    path = export(folder, tmp_path / "out", "ensemble", format=format)
    answers, net = OPENED[format](path), codistill.load(folder, "ensemble")
    config = json.loads((path.parent / "config.json").read_text())
    assert config["input"]["dtype"] == "uint8"
    assert config["output"] == "probabilities"
    for count in (1, 7):
        x = data.load("digits").test.x[:count]
        with torch.no_grad():
            expected = net.probabilities(net.preprocess(x))
        torch.testing.assert_close(answers(x), expected, rtol=1e-4, atol=1e-5)


def test_a_program_of_texts(tmp_path):
    tiny.folder(tmp_path / "bert", "distilbert")
    dataset = dataclasses.replace(tiny.texts(), text=Text(tiny.TOKENS, ""))
    run = Run(
        models=(f"hf:{tmp_path / 'bert'}",), method="alone", epochs=1, batch=12, optimizer="adam", learning_rate=0.001
    )
    folder = trained(run, tmp_path / "run", dataset=dataset)
    shutil.rmtree(tmp_path / "bert")
    path = export(folder, tmp_path / "out", 1, format="torch")
    net = codistill.load(folder, 1)
    with torch.no_grad():
        expected = net.probabilities(net.preprocess(dataset.test.x[:5]))
        torch.testing.assert_close(program(path)(dataset.test.x[:5]), expected, rtol=1e-4, atol=1e-5)


def code_of(folder):
    """The program of a model card."""
    return (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]


def asked(folder, monkeypatch, texts=()):
    """What a model card's program ends with, in the folder of the export; of these texts in place of its own."""
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(code_of(folder).replace('["a new text"]', repr(list(texts))), names)
    return names


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """Runs of networks of transformers: one on texts from a folder of somebody's, and the texts."""
    home = tmp_path_factory.mktemp("readers")
    words = ["good", "bad", "film", "seen", "never", "again"]
    pairs = [(" ".join(words[(i + k) % 6] for k in range(1 + i % 4)), i % 2) for i in range(16)]
    dataset = from_dataset(pairs, pairs, length=6, vocabulary=40, names=("bad", "good"))
    tiny.folder(home / "secret" / "bert", "bert", num_labels=2)
    tiny.folder(home / "secret" / "roberta", "roberta", num_labels=2)
    models = tuple(f"hf:{home / 'secret' / kind}" for kind in ("bert", "roberta"))
    run = Run(models=models, epochs=1, batch=8, learning_rate=0.01, optimizer="adam")
    trained(run, home / "run", dataset=dataset)
    shutil.rmtree(home / "secret")
    return home / "run", [text for text, _ in pairs][:5]


@pytest.mark.parametrize("network", [0, 1, "ensemble"])
def test_networks_of_transformers_are_exported_with_all_that_they_need(readers, tmp_path, monkeypatch, network):
    run, texts = readers
    folder = export(run, tmp_path / "out", network).parent
    before = codistill.load(run, network)
    expected = before(before.preprocess(texts))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    folder = folder.rename(tmp_path / "moved")
    net = codistill.load(folder)
    torch.testing.assert_close(net(net.preprocess(texts)), expected)
    assert net.chosen == before.chosen
    for path in folder.rglob("*"):
        assert path.suffix == ".safetensors" or path.is_dir() or "secret" not in path.read_text(encoding="utf-8")
    card, config = (folder / "README.md").read_text(), json.loads((folder / "config.json").read_text())
    if network == "ensemble":
        assert {p.name for p in (folder / "configs").iterdir()} == {"0", "1"}
        return
    kind = ("Bert", "Roberta")[network]
    assert f"\n# {kind}ForSequenceClassification of {kind.lower()}, trained on" in card
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-classification")
    assert (config["id2label"], config["classes"]) == ({"0": "bad", "1": "good"}, ["bad", "good"])
    assert config["models"] == [f"hf:{kind.lower()}"]
    assert "base_model" not in card  # a folder's
    names = asked(folder, monkeypatch, texts)
    torch.testing.assert_close(names["answers"], expected)
    tokenizer = tiny.library().AutoTokenizer.from_pretrained(str(folder))
    assert tokenizer(texts, padding="max_length")["input_ids"] == before.preprocess(texts).tolist()


def test_a_public_name_holds_no_folder(tmp_path):
    assert public("hf:/data/mine/bert,n_layers=2") == "hf:bert,n_layers=2"
    assert public("hf:google/bert_tiny") == "hf:google/bert_tiny"
    assert public("hf:runs/mine/bert") == "hf:bert"
    assert public(f"cnn:width=4,start={tmp_path / 'w.safetensors'}") == "cnn:width=4,start=w.safetensors"
    assert public("table:0-4/5-9") == "table:0-4/5-9"
    assert public("table:train=../ag.csv,test=C:\\x\\t.csv") == "table:train=ag.csv,test=t.csv"


def test_an_export_is_opened_and_says_what_it_is_not(folder, tmp_path):
    x = data.load("digits").test.x[:5]
    before = codistill.load(folder, "ensemble")
    path = export(folder, tmp_path / "out", "ensemble").parent
    net = codistill.load(path)
    torch.testing.assert_close(net(net.preprocess(x)), before(before.preprocess(x)))
    assert (net.name, net.chosen) == (before.name, before.chosen)
    one = codistill.load(path, 1)
    torch.testing.assert_close(one(x / 255), codistill.load(folder, 1)(x / 255))
    with pytest.raises(ValueError, match="is an export already"):
        export(path, tmp_path / "again")
    (path / "model.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(ValueError, match=r"model.safetensors is damaged"):
        codistill.load(path)
    with pytest.raises(ValueError, match="holds a program, model.pt2: its README.md says"):
        codistill.load(export(folder, tmp_path / "program", format="torch").parent)


@pytest.mark.parametrize("kind", ["bigru", "bilstm"])
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_recurrent_networks_are_programs_too(tmp_path, monkeypatch, kind, format):
    pairs = [("a good film " * (1 + i % 4), i % 2) for i in range(16)]
    dataset = from_dataset(pairs, pairs, length=9, vocabulary=40)
    run = Run(models=(f"{kind}:hidden=4,embedding=4",), batch=8, epochs=1, method="alone")
    trained(run, tmp_path / "run", dataset=dataset)
    path = export(tmp_path / "run", tmp_path / "out", 1, format=format)
    net = codistill.load(tmp_path / "run", 1)
    texts = ["a good", "", "film", "good film a good film a good film a good film"]
    x = net.preprocess(texts)
    assert len({int(row.count_nonzero()) for row in x}) == 3
    expected = net.probabilities(x).detach()
    torch.testing.assert_close(OPENED[format](path)(x), expected, rtol=1e-4, atol=1e-6)
    names = asked(path.parent, monkeypatch, texts)
    torch.testing.assert_close(torch.as_tensor(names["answers"]), expected, rtol=1e-4, atol=1e-6)


def test_a_program_of_embeddings_and_floating_images(tmp_path):
    dataset = open_digits()
    run = Run(data="open_digits:open_digits", models=("cnn:width=4",), epochs=1, batch=32)
    folder = trained(run, tmp_path / "run", dataset=dataset)
    path = export(folder, tmp_path / "out", format="onnx")
    net, x = codistill.load(folder), dataset.test.x[:3]
    with torch.no_grad():
        torch.testing.assert_close(runtime(path)(x), net(net.preprocess(x)), rtol=1e-3, atol=1e-3)
    assert json.loads((path.parent / "config.json").read_text())["output"] == "embeddings"
    assert "pipeline_tag: feature-extraction" in (path.parent / "README.md").read_text()


class Moody(nn.Module):
    """Its answers depend on a number that torch cannot trace."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        z = self.layer(x.flatten(1))
        return z if z.sum().item() > 0 else -z


@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_what_has_no_such_form_is_one_line_and_leaves_nothing(tmp_path, format, capfd):
    folder = trained(
        Run(labels=60, batch=20, epochs=1), tmp_path / "run", dataset=data.load("digits"), networks=[Moody(), Moody()]
    )
    with pytest.raises(NotExportable, match=f"network 0 .Moody. has no {format} form") as caught:
        export(folder, tmp_path / "out", format=format, networks=[Moody(), Moody()])
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert export(folder, tmp_path / "out", networks=[Moody(), Moody()]).is_file()


def test_a_program_that_answers_differently_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(NotExportable, match="answers differently from PyTorch for 2 inputs"):
        export(folder, tmp_path / "out", format="torch")
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(folder, tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another folder"):
        export(folder, tmp_path)
    with pytest.raises(ValueError, match="format='onxx': give 'safetensors' or 'onnx' or 'torch'"):
        export(folder, tmp_path / "out", format="onxx")


def test_the_card_has_what_the_comparison_found(tmp_path, monkeypatch, capsys):
    from codistill.study import costs

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(costs, "TIMED_ROUNDS", 1)
    base = RUN.replace(models=("mlp:hidden=8",), epochs=1)
    list(compare(Study("tiny", base, ("dml",), (0, 1)), "study"))
    cli.main(["export", "study", "--row", "dml", "--seed", "1", "--network", "1", "--out", "card"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Model card: card/README.md" in said
    text = (tmp_path / "card" / "README.md").read_text()
    row = next(r for r in json.loads((tmp_path / "study" / "summary.json").read_text())["rows"] if "dml" in r["method"])
    low, high = row["gain_ci95"]
    assert f"{100 * row['gain_mean']:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] points" in text
    line = next(
        r
        for r in map(json.loads, (tmp_path / "study" / "results.jsonl").read_text().splitlines())
        if r["entry"] == row["method"] and r["seed"] == 1 and r["peer"] == 1
    )
    assert f"| accuracy | {100 * line['accuracy']:.2f} % |" in text
    assert text.startswith("---\npipeline_tag: image-classification\ntags:\n")
    for head in ("Model", "Use", "Training", "Measured", "Intended use", "Limits", "Origin"):
        assert f"\n## {head}\n" in text
    assert str(tmp_path) not in text
    save(tmp_path / "card" / "new.png")
    names = asked(tmp_path / "card", monkeypatch)
    net = codistill.load("../study", 1, row="dml", seed=1)
    with torch.no_grad():
        torch.testing.assert_close(names["answers"], net(net.preprocess("new.png")), rtol=1e-5, atol=1e-6)
