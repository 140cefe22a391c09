"""Networks compared in values and example by example, a second time with plain loops."""

import itertools
import statistics

import numpy as np
import pytest
import torch

from codistill.analysis.runs import run_folders
from codistill.run import Run
from codistill.statistics.crossed import crossed_interval
from codistill.statistics.interval import paired_interval
from codistill.statistics.jackknife import pairs_interval
from codistill.study import Study, compare, parts
from codistill.study.differences import Difference, Measured, churn_difference, churn_interval
from codistill.study.summary import Summary
from codistill.training.decisions import Decisions
from codistill.training.evaluate import changes
from codistill.training.loop import restored

BASE = Run(
    models=("mlp:hidden=8",), labels=40, batch=10, epochs=8, learning_rate=0.2, peers=2, execute="loop", device="cpu"
)
ALL = BASE.replace(labels=None, limit=60)
N = 30


def measured(study, examples=N):
    source = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (N,), generator=source)
    decisions, values = {}, {}
    for entry in study.entries:
        for training in study.trainings:
            logits = torch.randn(entry.run.peers, N, 4, generator=source) + 2 * torch.nn.functional.one_hot(labels, 4)
            found = decisions[entry.name, *training] = Decisions.of(logits, labels)
            for peer, share in enumerate(found.correct.double().mean(1).tolist()):
                values[entry.name, *training, peer, 1] = {"accuracy": share}
    return Measured(study, values, decisions, examples)


def networks(study, peers=2):
    alone, entry = study.entries
    return [(entry, i) for i in range(peers)], [(alone, i) for i in range(peers)]


@pytest.mark.parametrize(("again", "often"), [(1, None), (2, None), (2, 2), (3, 1)])
def test_gains_are_those_of_the_examples_and_other_examples_widen_them(again, often):
    study = Study("small", BASE, ("dml",), (0, 3, 5), retrainings=again, retrained=often)
    table = measured(study)
    entry, alone = study.entries[1], study.entries[0]
    rows = []
    for number, seed in enumerate(study.seeds):
        times = again if number < (often or 3) else 1
        runs = [(seed, r, i) for r in range(times) for i in range(2)]
        right = [
            [sum(float(table.decisions[e.name, s, r].correct[i][n]) for s, r, i in runs) / len(runs) for n in range(N)]
            for e in (entry, alone)
        ]
        rows.append([a - b for a, b in zip(*right, strict=True)])
    gain = table.gain(*networks(study), "accuracy")
    assert gain.per_seed == pytest.approx([statistics.fmean(row) for row in rows])
    assert table.crossed(*networks(study)) == pytest.approx(crossed_interval(rows)[1:])


@pytest.mark.parametrize(("again", "often"), [(2, None), (3, None), (3, 2)])
def test_churn_is_between_trainings_on_a_seed_s_labels(again, often):
    study = Study("small", BASE, ("dml",), (0, 3, 5), retrainings=again, retrained=often)
    table = measured(study)
    shares = {}
    for entry in study.entries:
        shares[entry.name] = []
        for seed in study.seeds[:often]:
            found = []
            for a, b in itertools.combinations(range(again), 2):
                for i in range(2):
                    one, two = (table.decisions[entry.name, seed, r].classes[i].tolist() for r in (a, b))
                    found.append(sum(x != y for x, y in zip(one, two, strict=True)) / N)
            shares[entry.name].append(statistics.fmean(found))
    method, alone = networks(study)
    assert table.churn(method) == pytest.approx(shares[study.entries[1].name])
    expected = paired_interval(np.subtract(*reversed(list(shares.values()))))
    difference = churn_difference(table.churn(method), table.churn(alone))
    assert (difference.mean, *difference.interval) == pytest.approx(expected)


def test_where_all_seeds_learn_from_the_same_labels_any_two_are_retrainings():
    study = Study("small", ALL, ("dml",), (0, 3, 5))
    table = measured(study)
    classes = [table.decisions["dml:peers=2", seed, 0].classes for seed in study.seeds]
    expected = [[(a != b).double().mean().item() for b in classes] for a in classes]
    assert table.churn(networks(study)[0]) == pytest.approx(np.array(expected))
    assert churn_interval(np.array(expected)) == pytest.approx(pairs_interval(expected))


@pytest.mark.parametrize("settings", [{"labels": 40}, {"valid": 10}, {"shards": True, "method": "codistillation"}])
def test_seeds_with_labels_of_their_own_are_no_retrainings(settings):
    study = Study("small", ALL.replace(**settings), ("codistillation",), (0, 3))
    assert measured(study).churn(networks(study)[0]) is None


def test_what_was_not_decided_example_by_example_is_not_compared_so():
    study = Study("small", ALL, ("dml",), (0, 3, 5))
    table, (method, alone) = measured(study), networks(study)
    without = Measured(study, table.values, dict(list(table.decisions.items())[1:]), N)
    assert without.crossed(method, alone) is None
    assert without.churn(alone) is None
    assert measured(study, N // 2).crossed(method, alone) is None  # decisions that are no examples
    single = Study("small", ALL, ("dml",), (0,))
    assert measured(single).crossed(*networks(single)) is None
    assert measured(single).churn(networks(single)[0]) is None
    assert Difference.of(0.5, float("nan"), float("nan")) == Difference(0.5, None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrained")
    study = Study("small", BASE, ("dml", "kd"), (0, 1, 5), retrainings=2)
    for _ in compare(study, folder):
        pass
    return study, folder, Summary.from_json((folder / "summary.json").read_text(encoding="utf-8"))


def test_a_study_s_churn_is_what_evaluating_one_run_against_the_other_gives(finished):
    study, folder, summary = finished
    first, again = (
        [part for part in parts(study, folder) if part.runs[0].retraining == r and part.runs[0].method.name != "kd"]
        for r in range(2)
    )
    found = {}
    for one, two in zip(first, again, strict=True):
        for change in changes(restored(one.folder), restored(two.folder), "test"):
            if change.against.replace("/retraining=1", "") == change.run:
                found.setdefault(change.run.partition("/")[0], []).append(change.changed)
    rows = {row.method: row for row in summary.rows}
    assert rows["alone"].churn == pytest.approx(statistics.fmean(found["alone"]))
    assert rows["dml:peers=2"].churn == pytest.approx(statistics.fmean(found["dml"]))
    difference = rows["dml:peers=2"].against_alone["churn"]
    assert difference.mean == pytest.approx(rows["dml:peers=2"].churn - rows["alone"].churn)
    assert difference.interval[0] <= difference.mean <= difference.interval[1]


def test_the_networks_of_all_trainings_count(finished):
    _, _, summary = finished
    for row in summary.rows:
        assert (row.seeds, row.networks) == (3, 12)
        if row.gain:
            assert len(row.gain.per_seed) == 3
            assert row.gain.crossed[1] - row.gain.crossed[0] >= row.gain.interval[1] - row.gain.interval[0]
            assert set(row.against_alone) == {"ece", "nll", "churn"}
            assert row.against_alone["ece"].mean == pytest.approx(row.beside["ece"] - summary.rows[0].beside["ece"])


def test_a_study_with_retrainings_is_broken_off_and_gone_on_with_as_any_other(finished, tmp_path):
    study, folder, _ = finished
    records = compare(study, tmp_path)
    for record in records:
        if record.kind == "step" and record.facts["part"] == 3:
            break
    records.close()
    for _ in compare(study, tmp_path, go_on=True):
        pass
    assert (tmp_path / "results.jsonl").read_text() == (folder / "results.jsonl").read_text()


def test_an_analysis_is_of_the_first_trainings(finished):
    study, folder, _ = finished
    found = [run for rows in run_folders([folder]).values() for run in rows]
    assert len(found) == len(study.entries) * len(study.seeds)
    assert {run.retraining for run in found} == {0}
