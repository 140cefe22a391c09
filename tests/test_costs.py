"""What the rows of a study cost: examples are counted, and unlike networks by the time that each takes."""

import pytest

from codistill.study import Row, Study, costs
from codistill.study.costs import alone_costs, declared_cost, measure_costs, timing_steps
from codistill.study.summary import _cost
from codistill.tuned import DIGITS

BASE = DIGITS.replace(
    labels=60, valid=0.0, evaluate_every=0, epochs=2, batch=20, models=("mlp:hidden=4",), execute="loop"
)
SECONDS = {"mlp:hidden=4": 1.0, "mlp:hidden=9": 3.0}


@pytest.fixture(autouse=True)
def _steps_of_known_length(monkeypatch):
    """A step takes what its networks do, one after the other; passes are counted as they are made."""
    timed = costs._timed_step

    def step(fleet, turn, rounds):
        timed(fleet, turn, rounds)
        return sum(SECONDS[str(slot.run.networks()[slot.number])] for slot in fleet.slots)

    monkeypatch.setattr(costs, "_timed_step", step)
    monkeypatch.setattr(costs, "TIMED_ROUNDS", 2)
    monkeypatch.setattr(costs, "TIMED_NETWORKS", 4)


def measured(study):
    return measure_costs(study, {training: {} for training in study.trainings}, {})


def test_unlabelled_examples_larger_batches_and_longer_trainings_count():
    rows = (Row("alone"), Row("dml", unlabelled=40), Row("alone", epochs=4), Row("alone", batch=30))
    study = Study("s", BASE, rows, (0, 1))
    found = measured(study)
    expected = {"alone": 1.0, "dml": (20 + 40) / 20, "alone:epochs=4": 2.0, "alone:batch=30": (2 * 30) / (3 * 20)}
    for entry in study.entries:
        name = next(key for key in expected if entry.name.startswith(key) and (entry.alone == (key == "alone")))
        assert found[entry.name]["forward"] == pytest.approx(expected[name]), entry.name
        assert found[entry.name]["backward"] == pytest.approx(expected[name]), entry.name


def test_unlike_networks_cost_what_each_takes_alone():
    study = Study("s", BASE.replace(models=tuple(SECONDS)), (Row("alone"), Row("dml")), (0,))
    found = measured(study)
    small, large = study.base.models
    assert alone_costs(study, found, small)["seconds"] == pytest.approx(1.0)
    assert alone_costs(study, found, large, 1)["seconds"] == pytest.approx(3.0)
    alone, dml = study.entries
    each = {(entry.name, str(net)): _cost(study, entry, net, found) for entry in (alone, dml) for net in (small, large)}
    assert [cost.seconds for cost in each.values()] == pytest.approx([1.0, 3.0, 4.0, 4.0])
    assert [cost.seconds_per_network for cost in each.values()] == pytest.approx([1.0, 3.0, 1.0, 3.0])


def test_what_is_declared_counts_passes_examples_and_steps():
    run = BASE.replace(method="alone", peers=1)
    one = declared_cost(run)
    assert declared_cost(run.replace(peers=3)) == pytest.approx(3 * one)
    assert declared_cost(run.replace(epochs=6)) == pytest.approx(3 * one)
    assert declared_cost(run.replace(unlabelled=40, method="dml")) == pytest.approx(3 * one)
    assert declared_cost(run.replace(batch=40)) == pytest.approx(one)  # half as many steps
    assert declared_cost(run.replace(method="ddgsd")) == pytest.approx(2 * one)  # 2 / 2
    assert declared_cost(run.replace(method="cskd")) == pytest.approx(4 / 3 * one)  # 2 / 1


@pytest.mark.parametrize("quick", [False, True])
def test_the_steps_of_timing_are_known_before_it(quick, monkeypatch):
    """In networks' steps of a forward and a backward pass, beside those that timing takes."""
    rows = (Row("alone"), Row("dml", unlabelled=40), Row("ddgsd"))
    study = Study("s", BASE.replace(models=tuple(SECONDS), augment=("crop:pad=1",)), rows, (0, 1, 2), quick=quick)
    taken, timed = [], costs._timed_step

    def counted(fleet, turn, rounds):
        taken.append(sum((slot.run.batch + slot.run.unlabelled) / 20 for slot in fleet.slots))
        taken[-1] *= 2 if fleet.run.method.name == "ddgsd" else 1
        return timed(fleet, turn, rounds)

    monkeypatch.setattr(costs, "_timed_step", counted)
    measured(study)
    three = [BASE.replace(method="alone", peers=3, seed=seed) for seed in (0, 1)]
    assert timing_steps(study, three) == (0 if quick else pytest.approx(sum(taken) / 6))
