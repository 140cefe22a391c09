"""Studies of unlike networks: each has its own kind trained alone to start from, learn from and be compared with."""

import json
import statistics
from pathlib import Path

import pytest
import torch

from codistill import checkpoint, study
from codistill.checkpoint import read_runs
from codistill.cohort import Cohort
from codistill.data import load
from codistill.files import read_lines
from codistill.run import Run
from codistill.spec import Spec
from codistill.study import Study, compare, costs, parts
from codistill.training import initial_weights as start
from codistill.training.build import build_fleet
from codistill.training.fleet import peers_by_run
from codistill.training.results import result_from_json

SMALL, MIDDLE, LARGE = "cnn:width=4", "cnn:width=6", "cnn"
BASE = Run(models=(SMALL,), labels=60, batch=20, epochs=1, learning_rate=0.2, average=0.5, execute="loop", device="cpu")
METHODS = (
    "alone",
    f"dml:models={MIDDLE}+{SMALL}",
    f"dml:models={MIDDLE}+{MIDDLE}",
    f"dml:models={LARGE}:start=alone+{SMALL}",
    f"kd:teacher={MIDDLE}",
)
STUDY = Study("unlike", BASE, METHODS, seeds=(0, 4))
PAIR, TWINS, BEGUN, TAUGHT = (
    f"dml:peers=2,models={MIDDLE}+{SMALL}",
    f"dml:peers=2,models={MIDDLE}+{MIDDLE}",
    f"dml:peers=2,models={LARGE}:start=alone+{SMALL}",
    f"kd:teacher={MIDDLE}",
)
BASELINES = {SMALL: "alone", MIDDLE: f"alone:models={MIDDLE}", LARGE: f"alone:models={LARGE}"}
NETWORKS = {  # of each row, in their places
    "alone": [SMALL, SMALL],
    BASELINES[MIDDLE]: [MIDDLE, MIDDLE],
    BASELINES[LARGE]: [LARGE],
    PAIR: [MIDDLE, SMALL],
    TWINS: [MIDDLE, MIDDLE],
    BEGUN: [LARGE, SMALL],
    TAUGHT: [SMALL, SMALL],
}


@pytest.fixture(scope="module", autouse=True)
def quickly_timed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "TIMED_NETWORKS", 2)
        patch.setattr(costs, "TIMED_ROUNDS", 1)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlike") / "study"
    list(compare(STUDY, folder))
    return folder


def found(folder):
    rows = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["rows"]
    return {row["method"]: row for row in rows}


def test_every_kind_of_network_is_trained_alone_in_as_many_places_as_some_row_has_it():
    assert {entry.name: list(map(str, entry.networks)) for entry in STUDY.entries} == NETWORKS
    assert [entry.alone for entry in STUDY.entries] == [True] * 3 + [False] * 4
    assert STUDY.entries[0].name == "alone"
    for net, name in BASELINES.items():
        assert STUDY.alone(Spec.of(net)).name == name


def test_a_kind_that_is_only_in_the_second_place_is_trained_alone_in_both():
    only = Study("s", BASE, (f"dml:models={SMALL}+{LARGE}",), (0,))
    assert [(e.name, e.run.peers) for e in only.entries if e.alone] == [("alone", 2), (f"alone:models={LARGE}", 2)]


def test_what_waits_for_whom():
    waits = {entry.name: tuple(map(str, entry.waits)) for entry in STUDY.entries}
    assert {name: others for name, others in waits.items() if others} == {BEGUN: (LARGE,), TAUGHT: (MIDDLE,)}


def test_rows_of_unlike_networks_are_one_for_each_kind():
    expected = []
    for name, nets in NETWORKS.items():
        kinds = list(dict.fromkeys(nets))
        expected += [name] if len(kinds) == 1 else [f"{name} [{net}]" for net in kinds]
    rows = _summary()["rows"]
    assert [row["method"] for row in rows] == expected
    assert [row["alone"] for row in rows] == [True] * 3 + [False] * 6


def _raw():
    """Made up results, so that every accuracy is another."""
    lines, value = [], 0
    for name, nets in NETWORKS.items():
        for seed in STUDY.seeds:
            for peer in [*range(len(nets)), None]:
                value += 1
                size = 1 if peer is not None else len(nets)
                if peer is None and size == 1:
                    continue
                about = {"entry": name, "method": name, "seed": seed, "peer": peer, "networks": size, "n": 797}
                about |= {"peers": len(nets), "part": "test"}
                lines.append({**about, "accuracy": (value * 37 % 101) / 101})
    return lines


def _summary():
    return study.summary(STUDY, [result_from_json(line) for line in _raw()], _costs()).as_dict()


def _costs():
    return {name: {"forward": 1.0, "backward": 1.0, "seconds": 1.0} for name in NETWORKS}


def _check(rows, lines):
    """Every row of a summary against the raw lines, a second time."""
    single = {(r["entry"], r["seed"], r["peer"]): r["accuracy"] for r in lines if r["peer"] is not None}
    whole = {
        (r["entry"], r["seed"], r["networks"]): r["accuracy"] for r in lines if r["peer"] is None and r["networks"]
    }
    checked = 0
    for name, nets in NETWORKS.items():
        for net in dict.fromkeys(nets):
            row = rows[name if len(set(nets)) == 1 else f"{name} [{net}]"]
            places = [i for i, own in enumerate(nets) if own == net]
            own = {seed: [single[name, seed, i] for i in places] for seed in STUDY.seeds}
            assert row["accuracy_mean"] == pytest.approx(statistics.fmean(v for seed in own.values() for v in seed))
            assert row["networks"] == len(places) * len(STUDY.seeds)
            if len(nets) > 1:
                assert row["ensemble_mean"] == pytest.approx(
                    statistics.fmean(whole[name, seed, len(nets)] for seed in STUDY.seeds)
                )
            if name == BASELINES[net]:
                assert row["gain_mean"] is None
                continue
            alone = {seed: [single[BASELINES[net], seed, i] for i in places] for seed in STUDY.seeds}
            gains = [statistics.fmean(own[s]) - statistics.fmean(alone[s]) for s in STUDY.seeds]
            assert row["gain_per_seed"] == pytest.approx(gains)
            assert row["gain_mean"] == pytest.approx(statistics.fmean(gains))
            assert row["alone_mean"] == pytest.approx(statistics.fmean(v for seed in alone.values() for v in seed))
            checked += 1
    assert checked == 6


def test_each_kind_is_paired_with_its_own_kind_in_its_place():
    rows = {row["method"]: row for row in _summary()["rows"]}
    _check(rows, _raw())
    assert rows[TWINS]["ensemble_alone_mean"] is not None
    assert rows[f"{PAIR} [{SMALL}]"]["ensemble_alone_mean"] is None  # no row holds both alone


def test_the_summary_of_a_real_study_is_what_its_raw_lines_come_to(finished):
    lines = read_lines(finished / "results.jsonl")
    assert {line["entry"] for line in lines} == set(NETWORKS)
    _check(found(finished), lines)


def test_what_one_has_to_pay_has_the_teachers_training_in_it(finished):
    costs = json.loads((finished / "costs.json").read_text(encoding="utf-8"))
    rows = found(finished)
    for name, net in ((TAUGHT, MIDDLE), (f"{BEGUN} [{SMALL}]", LARGE)):
        own, before = costs[name.partition(" [")[0]], costs[BASELINES[net]]
        cohort = 1 if name == TAUGHT else 2
        for kind in ("forward", "backward", "seconds"):
            assert rows[name]["cost"][kind] == pytest.approx(own[kind] * cohort + before[kind], abs=2e-3)


# Who starts as what, and who learns from what -------------------------------------------------------------------------


def part_of(folder, name, seed):
    """The folder of a row's run of one seed, and the run."""
    (entry,) = (entry for entry in STUDY.entries if entry.name == name)
    run = entry.run.replace(seed=seed)
    (part,) = (part for part in parts(STUDY, folder) if run in part.runs)
    assert read_runs(part.folder) == list(part.runs)
    return part.folder, run


def delivered(folder, name, seed, peer, raw=False):
    """What a network of a row became, from the checkpoint's tensors."""
    home, run = part_of(folder, name, seed)
    number = peers_by_run(read_runs(home))[run][peer]
    saved = checkpoint.load(checkpoint.latest(home))
    tensors = saved.peers if raw else saved.delivered
    return {n.partition(".")[2]: t for n, t in tensors.items() if n.partition(".")[0] == str(number)}


def same(net, tensors):
    state = net.state_dict()
    assert {name for name, _ in net.named_parameters()} <= tensors.keys() <= state.keys()
    return all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("seed", STUDY.seeds)
def test_who_starts_trained_starts_as_the_one_trained_alone_of_its_seed(finished, seed):
    _, run = part_of(finished, BEGUN, seed)
    fleet = build_fleet([run], teachers={LARGE: part_of(finished, BASELINES[LARGE], seed)[0]})
    nets = [fleet.cohort.network(i) for i in range(2)]
    assert same(nets[0], delivered(finished, BASELINES[LARGE], seed, 0))
    other = next(s for s in STUDY.seeds if s != seed)
    assert not same(nets[0], delivered(finished, BASELINES[LARGE], other, 0))
    assert same(nets[1], build_fleet([run.replace(method="alone", models=(SMALL,))]).cohort.network(1).state_dict())


@pytest.mark.parametrize("seed", STUDY.seeds)
def test_a_teacher_is_the_average_of_the_one_trained_alone_of_the_students_seed(finished, seed):
    _, run = part_of(finished, TAUGHT, seed)
    fleet = build_fleet([run], teachers={MIDDLE: part_of(finished, BASELINES[MIDDLE], seed)[0]})
    (teacher,) = (m for m in fleet.members[0].method.modules() if isinstance(m, Cohort))
    assert len(teacher) == 1
    assert same(teacher.network(0), delivered(finished, BASELINES[MIDDLE], seed, 0))
    assert not same(teacher.network(0), delivered(finished, BASELINES[MIDDLE], seed, 0, raw=True))


@pytest.mark.parametrize(("name", "peer"), [(PAIR, 0), (PAIR, 1), (TAUGHT, 1)])
def test_what_is_measured_is_the_average_of_the_weights(finished, name, peer):
    data = load("digits")
    net = start.network(NETWORKS[name][peer], data)
    kept = delivered(finished, name, 4, peer)
    net.load_state_dict({n: kept.get(n, t) for n, t in net.state_dict().items()})
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (data.mean, data.std))
    x = data.test.x.float() / 255 if data.test.x.dtype == torch.uint8 else data.test.x
    with torch.no_grad():
        right = (net.eval()((x - mean) / std).argmax(1) == data.test.y).double().mean().item()
    lines = read_lines(finished / "results.jsonl")
    (line,) = (r for r in lines if (r["entry"], r["seed"], r["peer"]) == (name, 4, peer) and r["networks"] == 1)
    assert line["accuracy"] == pytest.approx(right, abs=2 / 797)


def test_one_run_after_the_other_gives_the_same_results(finished, tmp_path):
    single = Study(STUDY.recipe, BASE, METHODS, STUDY.seeds, stacked=False)
    list(compare(single, tmp_path / "single"))

    def rows(folder: Path):
        lines = read_lines(folder / "results.jsonl")
        return {(r["entry"], r["seed"], r["peer"], r["networks"]): r["accuracy"] for r in lines if r["networks"]}

    one, other = rows(finished), rows(tmp_path / "single")
    assert one.keys() == other.keys()
    assert all(one[key] == pytest.approx(other[key], abs=2 / 797) for key in one)


def test_a_network_with_options_may_start_trained(tmp_path):
    study = Study("s", BASE, ("dml:models=cnn:width=6;start=alone+cnn:width=4",), (0,))
    (pair,) = [entry for entry in study.entries if not entry.alone]
    assert tuple(map(str, pair.run.models)) == ("cnn:width=6,start=alone", "cnn:width=4")
    assert pair.waits == (Spec("cnn", (), {"width": 6}),)
    assert pair.name == "dml:peers=2,models=cnn:width=6;start=alone+cnn:width=4"
    assert Study.from_dict(json.loads(json.dumps(study.as_dict()))) == study
    *_, end = compare(study, tmp_path / "s")
    assert [row["method"] for row in end.facts["rows"] if not row["alone"]] == [
        f"{pair.name} [cnn:width=6]",
        f"{pair.name} [cnn:width=4]",
    ]
