"""What Python writes that the command line writes too: `fit`, `report.write`, `compare` with data and networks."""

import inspect
import re

import pytest
import torch
from torch import nn

import codistill
from codistill import Row, Run, Study, cli, compare, data, fit, report
from codistill.checkpoint import read_runs
from codistill.files import read_lines
from codistill.spec import WrongKind
from codistill.study import costs, load, parts
from codistill.study.in_python import in_python
from codistill.training.build import build_fleet
from codistill.training.loop import restored

pytestmark = pytest.mark.filterwarnings("ignore:.*no better than chance")  # trainings of a few steps

RUN = Run(labels=60, batch=20, epochs=2)


class Narrow(nn.Sequential):
    """A network of the test's."""

    def __init__(self, width=4):
        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


class Wide(Narrow):
    """Another one."""

    def __init__(self):
        super().__init__(9)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(costs, "TIMED_ROUNDS", 1)
    monkeypatch.setattr(costs, "TIMED_NETWORKS", 4)


def test_fit_writes_what_the_command_line_writes(tmp_path, digits, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    results = fit(RUN, "mine", dataset=digits, networks=[Narrow(), Wide()])
    assert "2 networks" in capsys.readouterr().out
    cli.main(["train", "--labels", "60", "--batch", "20", "--epochs", "2", "--models", "mlp", "--name", "by_command"])
    files = [{path.name for path in folder.iterdir()} for folder in (tmp_path / "mine", tmp_path / "runs/by_command")]
    assert files[0] == files[1] >= {"log.jsonl", "results.jsonl", "report.html", "networks.json", "checkpoints"}
    assert [result.to_json() for result in results] == read_lines(tmp_path / "mine" / "results.jsonl")
    page = re.sub(
        r"<script.*?</script>", "", (tmp_path / "mine" / "report.html").read_text(encoding="utf-8"), flags=re.S
    )
    assert "python:Wide" in page
    assert "digits" not in page
    assert codistill.load("mine", 1, networks=[Narrow(), Wide()]).classes == digits.names


def test_fit_goes_on_where_it_was(tmp_path, digits, capsys):
    given = {"dataset": digits, "networks": [Narrow(), Narrow()]}
    records = codistill.train(RUN, tmp_path / "run", **given)
    for record in records:
        if record.step == 2:
            records.close()
    fit(RUN, tmp_path / "run", quiet=True, **given)
    assert not capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").exists()
    assert restored(tmp_path / "run", **given).cohort.network(0)[1].weight.equal(given["networks"][0][1].weight)
    with pytest.raises(ValueError, match="holds other runs than these"):
        fit(RUN.replace(epochs=3), tmp_path / "run", quiet=True, **given)


def test_the_report_of_a_folder(tmp_path, digits):
    folder = tmp_path / "run"
    fit(RUN, folder, quiet=True, dataset=digits)
    (folder / "report.html").unlink()
    assert report.write(str(folder)) == folder / "report.html"
    assert (folder / "report.html").stat().st_size > 1000
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        report.write(tmp_path)


# Comparisons --------------------------------------------------------------------------------------------------------

STUDY = Study("mine", RUN.replace(epochs=1), ("dml", "kd"), (0, 3))


def test_a_comparison_of_data_and_networks_from_python(tmp_path, digits):
    given = {"dataset": digits, "networks": [Narrow, Wide]}
    last = list(compare(STUDY, tmp_path / "study", **given))[-1]
    assert [row["label"] for row in last.facts["rows"]][:2] == ["Narrow, alone", "Wide, alone"]
    saved = load(tmp_path / "study")
    assert (str(saved.base.data), list(map(str, saved.base.models))) == ("python", ["python:Narrow", "python:Wide"])
    for part in parts(saved, tmp_path / "study"):
        for run in read_runs(part.folder):
            assert str(run.data) == "python"
            assert list(map(str, run.networks())) == ["python:Narrow", "python:Wide"]
    page = report.write(tmp_path / "study").read_text(encoding="utf-8")
    assert "python:Narrow" in page
    assert codistill.load(tmp_path / "study", 1, row="dml", seed=3, networks=[Narrow(), Wide()]).classes
    again = list(compare(STUDY, tmp_path / "study", go_on=True, **given))
    assert again[-1].facts["rows"] == last.facts["rows"]


def test_each_network_starts_as_its_twin_that_is_trained_alone(digits):
    calls = []

    def narrow():
        calls.append(1)
        return Narrow()

    study, given = in_python(STUDY, digits, [narrow])
    starts = {}
    for entry in study.entries:
        for seed in (0, 3):
            if entry.name.startswith("kd"):
                continue
            fleet = build_fleet([entry.run.replace(seed=seed)], **given)
            for peer in (0, 1):
                starts.setdefault((seed, peer), []).append(fleet.cohort.peer_state(peer)["1.weight"])
    assert len(calls) == 8
    for twins in starts.values():
        assert torch.equal(*twins)
    kinds = [twins[0] for twins in starts.values()]
    assert not any(torch.equal(a, b) for i, a in enumerate(kinds) for b in kinds[:i])


def test_what_does_not_fit_is_said_first(digits):
    for networks, message in (
        ([Narrow] * 3, "3 networks for peers=2: give one for all peers, or one for each"),
        ([Narrow(), Narrow()], "networks has a Narrow: give functions that build a network"),
    ):
        with pytest.raises((ValueError, WrongKind), match=message):
            in_python(STUDY, digits, networks)
    study, given = in_python(STUDY, None, [lambda: Narrow(), lambda: Wide()])
    assert list(map(str, study.base.models)) == ["python:lambda1", "python:lambda2"]
    named = Study("mine", RUN, (Row("dml", models=("mlp", "cnn")),), (0,))
    with pytest.raises(ValueError, match=r"names networks, and networks= gives others"):
        in_python(named, digits, [Narrow])
    study, given = in_python(STUDY, digits, [dict])
    with pytest.raises(WrongKind, match="networks: dict returned a dict"):
        build_fleet([study.entries[0].run], **given)


def test_the_public_functions_say_what_they_take():
    for function in (fit, compare, codistill.load, report.write):
        assert "Raises:" in inspect.getdoc(function)
        assert all(p.annotation is not p.empty for p in inspect.signature(function).parameters.values())
