"""An analysis, on a comparison and on runs of digits, small."""

import json

import pytest
import torch
from torch.nn import functional as F

from codistill import study as studies
from codistill.analysis import Settings, analyze
from codistill.run import Run
from codistill.study import Study, compare, costs
from codistill.training.loop import restored, train
from codistill.training.records import logged

BASE = Run(labels=60, batch=20, models=("cnn:width=4",), epochs=2, execute="stack", device="cpu")
QUICK = Settings(examples=30, draws=2, probes=2)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "TIMED_ROUNDS", 1)
        patch.setattr(costs, "TIMED_NETWORKS", 2)
        list(compare(Study("digits", BASE, ("dml:peers=2", "kd"), (0, 1)), folder))
    return folder


@pytest.fixture(scope="module")
def measured(comparison):
    return analyze([comparison], QUICK).to_json()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs of their network: alone and dml."""
    home = tmp_path_factory.mktemp("runs")
    for method in ("alone", "dml"):
        list(logged(train(BASE.replace(method=method), home / method), home / method))
    return home


def test_every_network_of_every_method_and_seed_is_measured(measured):
    names = ["alone", "dml:peers=2", "kd:teacher=alone,graph=ring"]
    assert [row["method"] for row in measured["rows"]] == names
    assert measured["baseline"] == "alone"
    assert len({(n["method"], n["seed"], n["peer"]) for n in measured["networks"]}) == len(measured["networks"]) == 12
    assert measured["n"] == {"shaken": 30, "train": 60, "test": 120}
    for n in measured["networks"]:
        for name in ("noise", "noise_relative", "sharpness", "sharpness_relative", "hessian", "weight_norm"):
            assert isinstance(n[name], float), name
        assert len(n["line"]) == 21
    assert [p["method"] for p in measured["planes"]] == names
    assert len(measured["paths"]) == 6
    assert {e["method"] for e in measured["peers"]} == set(names)
    assert {f["method"] for f in measured["findings"]} == set(names[1:])
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured


def test_its_numbers_are_those_of_the_networks_of_the_folder(comparison, measured):
    part = studies.parts(studies.load(comparison), comparison)[0]
    fleet = restored(part.folder)
    run = next(r for r in fleet.runs if r.method.name == "dml" and r.seed == 1)
    peer = fleet.peers_by_run[run][1]
    train_part = fleet.streams.parts[1].train
    net = fleet.cohort.network(peer).eval()
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (fleet.dataset.mean, fleet.dataset.std))
    x = train_part.x.float() / 255 if train_part.x.dtype == torch.uint8 else train_part.x.float()
    with torch.no_grad():
        loss = F.cross_entropy(net((x - mean) / std), train_part.y)
    network = next(n for n in measured["networks"] if (n["method"], n["seed"], n["peer"]) == ("dml:peers=2", 1, 1))
    assert network["train_loss"] == pytest.approx(float(loss), rel=1e-4)


def test_differences_come_from_the_same_seed_and_peer_alone(measured):
    value = {(n["method"], n["seed"], n["peer"]): n["sharpness"] for n in measured["networks"]}
    row = measured["rows"][1]["measures"]["sharpness"]
    gaps = [value["dml:peers=2", s, p] - value["alone", s, p] for s in (0, 1) for p in (0, 1)]
    assert row["difference"] == pytest.approx(sum(gaps) / 4)


def test_an_analysis_is_a_function_of_its_settings(runs):
    def one(seed):
        settings = Settings(examples=20, networks=1, draws=2, probes=2, seed=seed, skip=("surface",))
        return analyze([runs / "dml"], settings).to_json()

    first, again, other = one(0), one(0), one(1)
    assert first == again
    assert [n["noise"] for n in first["networks"]] != [n["noise"] for n in other["networks"]]


def test_what_is_skipped_is_not_there_and_fewer_networks_are_fewer(comparison):
    lean = Settings(examples=10, networks=1, skip=("noise", "sharpness", "hessian", "surface", "path"))
    got = analyze([comparison], lean).to_json()
    assert len(got["networks"]) == 6
    assert got["planes"] == got["paths"] == []
    assert set(got["rows"][0]["measures"]) == {
        "train_loss", "test_loss", "train_accuracy", "test_accuracy", "train_entropy", "test_entropy", "weight_norm",
    }  # fmt: skip


def test_runs_of_their_own_are_paired_with_the_one_trained_alone(runs):
    said = []
    lean = Settings(examples=10, draws=2, probes=2, skip=("hessian", "surface", "path"))
    got = analyze([runs / "dml", runs / "alone"], lean, say=said.append).to_json()
    names = [row["method"] for row in got["rows"]]  # type: ignore[attr-defined]
    assert names == ["alone/peers=2", "dml/peers=2"]
    assert got["rows"][1]["measures"]["noise"]["difference"] is not None
    assert said == [f"{runs / 'dml'}: 1 run", f"{runs / 'alone'}: 1 run"]
    only = analyze([runs / "dml"], lean).to_json()
    assert only["baseline"] is None


def test_runs_of_one_name_and_other_settings_are_told_apart_by_their_folders(runs, tmp_path):
    other = BASE.replace(method="dml", learning_rate=0.2)
    list(logged(train(other, tmp_path / "fast"), tmp_path / "fast"))
    lean = Settings(examples=10, skip=("noise", "sharpness", "hessian", "surface", "path"))
    got = analyze([runs / "dml", tmp_path / "fast"], lean).to_json()
    names = [row["method"] for row in got["rows"]]  # type: ignore[attr-defined]
    assert names == ["dml/peers=2 (dml)", "dml/peers=2 (fast)"]


def test_folders_that_do_not_fit_together_are_refused(comparison, runs, tmp_path):
    with pytest.raises(ValueError, match="there is no run to analyze"):
        analyze([])
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        analyze([tmp_path])
    with pytest.raises(ValueError, match="is there twice: give each folder once"):
        analyze([runs / "dml", runs / "." / "dml"])
    with pytest.raises(ValueError, match="is a comparison: analyze it by itself"):
        analyze([comparison, runs / "dml"])
    (tmp_path / "runs.json").write_text(json.dumps([BASE.replace(data="mnist").as_dict()]))
    with pytest.raises(
        ValueError, match="data='digits' in .* and 'mnist' in .*: analyze runs on the same data together"
    ):
        analyze([runs / "dml", tmp_path])


def test_a_comparison_that_is_not_finished_and_a_run_without_a_checkpoint_are_refused(comparison, tmp_path):
    (tmp_path / "study.json").write_text((comparison / "study.json").read_text())
    with pytest.raises(FileNotFoundError, match="is not finished: codistill resume"):
        analyze([tmp_path])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "runs.json").write_text(json.dumps([BASE.as_dict()]))
    with pytest.raises(FileNotFoundError, match="has no checkpoint yet: codistill resume"):
        analyze([tmp_path / "run"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"examples": 0}, "examples=0: give a whole number of at least 1"),
        ({"draws": 1}, "draws=1: give a whole number of at least 2"),
        ({"probes": 1}, "probes=1: give a whole number of at least 2"),
        ({"networks": 0}, "networks=0: give a whole number of at least 1"),
        ({"rho": 0.0}, "rho=0.0: give a number above 0"),
        ({"skip": ("nosie",)}, "no measure to skip is called 'nosie': did you mean 'noise'"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Settings(**settings)
