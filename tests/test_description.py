"""``networks.json``: what a run's folder says of its networks."""

import dataclasses
import json
import shutil

import pytest
import torch
from torch import nn

import tiny_transformers as tiny
from codistill import cli, data, files
from codistill.checkpoint import read_runs
from codistill.data.conversion import from_dataset
from codistill.data.images.cut import Cut
from codistill.description import FILE, Description, Network, read_description, write_description
from codistill.run import Run
from codistill.study import Study, compare, parts
from codistill.training.loop import restored, resume, train
from small_images import save

RUN = Run(models=("cnn:width=4", "mlp:hidden=8"), labels=60, batch=20, epochs=1, execute="loop")
DESCRIBED = Description(
    task="classes",
    classes=2,
    names=("a", "b"),
    shape=(1, 4, 4),
    dtype="uint8",
    mean=(0.5,),
    std=(0.25,),
    data="digits",
    networks=(Network(0, 0, "dml", 0, "mlp", "mlp"), Network(0, 1, "dml", 0, "python:Net", "Net")),
    cut=Cut(4, 4, grey=True, how="fit"),
)


class Own(nn.Sequential):
    """A network of the test's."""

    def __init__(self, width=4):
        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def finish(records):
    return list(records)[-1]


def test_it_is_written_and_read(tmp_path):
    write_description(tmp_path, DESCRIBED)
    assert read_description(tmp_path) == DESCRIBED
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert [network.given for network in DESCRIBED.networks] == [False, True]


WRONG = {
    "task": ("clases", "task='clases': give 'classes' or"),
    "classes": (0, "classes=0: give a whole number"),
    "names": (["a"], "names has 1 entries for 2 classes"),
    "shape": ([4, 4], r"shape=\[4, 4\]: uint8 examples have 3 axes"),
    "dtype": ("int8", "dtype='int8': give"),
    "mean": ([0.5, 0.5], r"mean=\[0.5, 0.5\]: 1 finite numbers"),
    "std": ([0.0], r"std=\[0.0\]: every value must be above 0"),
    "networks": ([], "networks is not a list"),
    "cut": ({"how": "cover"}, "cut: how='cover': give 'resize' or 'fit'"),
    "format": (99, "format=99: it was written by a newer version"),
}


@pytest.mark.parametrize("field", WRONG)
def test_an_invalid_value_is_one_line_that_names_the_file(tmp_path, field):
    write_description(tmp_path, DESCRIBED)
    path = tmp_path / FILE
    value, message = WRONG[field]
    files.write_json(path, {**files.read_json(path), field: value})
    with pytest.raises(ValueError, match=message) as caught:
        read_description(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_lies_in_the_folder(tmp_path):
    for config in ("/etc", "../other"):
        with pytest.raises(ValueError, match="is outside of the folder"):
            dataclasses.replace(DESCRIBED, networks=(Network(0, 0, "dml", 0, "hf:a", "hf:a", config=config),))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"task": "classes"}', '{"networks": 3}', '{"shape": 4}'])
def test_a_damaged_file_is_one_line(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match="is damaged") as caught:
        read_description(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_of_an_older_version_says_what_is_missing(tmp_path):
    finish(train(RUN, tmp_path))
    (tmp_path / FILE).unlink()
    with pytest.raises(FileNotFoundError, match=f"codistill resume {tmp_path} adds it"):
        read_description(tmp_path)
    finish(resume(tmp_path))
    assert read_description(tmp_path).classes == 10
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        read_description(tmp_path / "none")


def test_a_run_writes_what_its_networks_take_and_give(tmp_path):
    finish(train([RUN.replace(method="alone"), RUN], tmp_path))
    about, digits = read_description(tmp_path), data.load("digits")
    assert (about.names, about.mean, about.std) == (digits.names, digits.mean, digits.std)
    assert (about.shape, about.dtype, about.task, about.data) == ((1, 8, 8), "uint8", "classes", "digits")
    assert [(n.run, n.peer, n.method, n.model) for n in about.networks] == [
        (0, 0, "alone", "cnn:width=4"),
        (0, 1, "alone", "mlp:hidden=8"),
        (1, 0, "dml", "cnn:width=4"),
        (1, 1, "dml", "mlp:hidden=8"),
    ]
    assert set(about.versions) == {"codistill", "torch", "python"}
    fleet = restored(tmp_path)
    for number, peer in enumerate(fleet.cohort.peers):
        net = about.network(number, tmp_path, trust=False)
        assert {n: t.shape for n, t in net.state_dict().items()} == {
            n: t.shape for n, t in fleet.cohort.network(peer).state_dict().items()
        }


def test_the_parts_of_a_comparison_have_one_each(tmp_path, monkeypatch):
    from codistill.study import costs

    monkeypatch.setattr(costs, "TIMED_ROUNDS", 1)
    study = Study("tiny", RUN.replace(models=("mlp:hidden=8",)), ("dml",), (0, 1), stacked=False, quick=True)
    finish(compare(study, tmp_path / "study"))
    for part in parts(study, tmp_path / "study"):
        assert {(n.method, n.seed) for n in read_description(part.folder).networks} == {
            (str(run.method), run.seed) for run in part.runs
        }


def test_texts_bring_their_tokenizer(tmp_path):
    train_set = [(f"good film {i}", 1) for i in range(12)] + [(f"bad music {i}", 0) for i in range(12)]
    dataset = from_dataset(train_set, train_set, length=6, vocabulary=40)
    finish(train(Run(models=("bigru:hidden=4,embedding=4",), batch=8, epochs=1), tmp_path, dataset=dataset))
    about = read_description(tmp_path)
    assert (about.shape, about.dtype, about.mean) == ((6,), "int64", ())
    assert about.vocabulary == dataset.text.vocabulary
    assert (tmp_path / "tokenizer.json").read_text() == dataset.text.tokenizer
    assert about.network(0, tmp_path, trust=False)(dataset.test.x[:2]).shape == (2, 2)


def test_a_network_of_transformers_brings_its_config(tmp_path):
    tiny.folder(tmp_path / "vit", "vit")
    run = Run(models=(f"hf:{tmp_path / 'vit'}",), method="alone", epochs=1, batch=12)
    finish(train(run, tmp_path / "run", dataset=tiny.pictures()))
    shutil.rmtree(tmp_path / "vit")
    about = read_description(tmp_path / "run")
    assert about.networks[1].config == "configs/0"
    net = about.network(1, tmp_path / "run", trust=False)
    assert net(torch.rand(2, 1, 8, 8)).logits.shape == (2, 3)


def test_images_in_folders_say_how_they_are_cut(tmp_path):
    for label in ("cat", "dog"):
        for number in range(8):
            save(tmp_path / "images" / label / f"{number}.png", seed=number)
    run = Run(data="folder:size=8", data_root=str(tmp_path / "images"), models=("mlp",), epochs=1, batch=5)
    finish(train(run, tmp_path / "run"))
    about = read_description(tmp_path / "run")
    assert about.cut == Cut(8, 8, how="fit")
    assert about.names == ("cat", "dog")


# Given in Python ----------------------------------------------------------------------------------------------------


def test_data_and_networks_from_python_are_called_so(tmp_path):
    run = Run(labels=60, batch=20, epochs=1)
    finish(train(run, tmp_path, dataset=data.load("digits"), networks=[Own(), Own(5)]))
    assert read_runs(tmp_path) == [run.replace(data="python", models=("python:Own",))]
    text = (tmp_path / "runs.json").read_text()
    assert '"digits"' not in text
    assert '"cnn"' not in text
    about = read_description(tmp_path)
    assert (about.data, [network.model for network in about.networks]) == ("python", ["python:Own"] * 2)
    with pytest.raises(ValueError, match=r"network 1 of .* \(Own\) was given in Python"):
        about.network(1, tmp_path, trust=True)


def test_a_name_of_your_own_for_the_data_stays(tmp_path):
    finish(train(RUN.replace(data="bars"), tmp_path, dataset=data.load("digits")))
    (run,) = read_runs(tmp_path)
    assert str(run.data) == "python:bars"
    assert run.models == RUN.models
    assert finish(resume(tmp_path, dataset=data.load("digits"))).kind == "end"


def test_what_came_from_python_is_asked_for_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits, nets = data.load("digits"), [Own(), Own()]
    finish(train(Run(labels=60, batch=20, epochs=1), "run", dataset=digits, networks=nets))
    for words in (["evaluate", "run", "--part", "test"], ["resume", "run"]):
        with pytest.raises(SystemExit, match=r"the data set of this run came from Python .* give dataset=") as stop:
            cli.main(words)
        assert "\n" not in stop.value.code
    with pytest.raises(ValueError, match=r"the networks of this run came from Python \(python:Own\).*give networks="):
        restored("run", dataset=digits)
    fleet = restored("run", dataset=digits, networks=[Own(), Own()])
    assert torch.equal(fleet.cohort.network(1)[1].weight, nets[1][1].weight)


def test_a_run_of_an_older_version_that_does_not_say_so_still_opens(tmp_path):
    digits = data.load("digits")
    run = Run(labels=60, batch=20, epochs=1)
    finish(train(run, tmp_path, dataset=digits, networks=[Own(), Own()]))
    (tmp_path / "runs.json").write_text(json.dumps([run.as_dict()]))
    again = {"dataset": digits, "networks": [Own(), Own()]}
    assert len(restored(tmp_path, **again).cohort) == 2
    assert finish(resume(tmp_path, **again)).kind == "end"
