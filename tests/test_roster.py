"""Every method in every executor and update mode: one short epoch on digits.

A new file in `codistill/methods` is picked up by itself; what it needs of the settings is in its class. `OPTIONS` is
for what a method cannot be run without besides; `REFUSED` and `NO_TURNS` say what cannot be, in words of the error.
"""

import re
from inspect import Parameter, signature
from typing import get_args

import pytest
import torch

from codistill import data, discovery
from codistill.methods import find
from codistill.run import Run, Update
from codistill.spec import Spec
from codistill.training.build import build_fleet
from codistill.training.loop import train
from codistill.training.results import results
from codistill.training.state import Training

METHODS = discovery.available("codistill.methods")
PEERS = 3
STEPS = 3

# method -> (options of the method, settings of the run)
OPTIONS: dict[str, tuple[dict, dict]] = {"pseudo": ({}, {"unlabelled": 10})}

# (method, update) -> why not, in words of the error
REFUSED: dict[tuple[str, str], str] = {}

# words of the error -> whether it has to be, for peers that take turns
NO_TURNS = {
    "branches of one trunk have no turns; use update='together'": lambda method: method.needs.branches,
    "this method has parameters of its own; use update='together'": lambda method: any(
        p.requires_grad for p in method.parameters()
    ),
}

BASE = Run(peers=PEERS, models=("cnn:width=4",), labels=60, batch=20, epochs=1, precision="float64", learning_rate=0.05)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("teacher")
    list(train(BASE.replace(method="alone", seed=1), folder, dataset=digits))
    return folder


def run_of(method, update, execute, teacher):
    found = find(method)
    options, settings = OPTIONS.get(method, ({}, {}))
    parameters = signature(found).parameters
    if "teacher" in parameters and parameters["teacher"].default is Parameter.empty:
        options = {"teacher": teacher, **options}
    if found.needs.augmentation:
        settings = {"augment": ("crop:pad=1",), **settings}
    if found.needs.branches:
        settings = {"branch_at": "stage3", **settings}
    spec = str(Spec(method, (), options))
    return BASE.replace(method=spec, update=update, execute=execute, **settings)


def trained(run, dataset):
    """After its one epoch: the fleet, what every peer was before, the line of the log."""
    fleet = build_fleet([run], dataset=dataset)
    before = [{n: t.clone() for n, t in fleet.cohort.peer_state(i).items()} for i in range(PEERS)]
    training = Training(fleet, None)
    for _ in range(STEPS):
        for terms in training.advance():
            assert terms
            assert all(term.shape in ((PEERS,), ()) and term.isfinite().all() for term in terms.values())
    assert training.step == fleet.total
    (line,) = training.finish_epoch()
    return fleet, before, line


def trains_the_same(method, update, digits, teacher):
    ends = {}
    for execute in ("loop", "stack", "channels_last") if update == "together" else ("loop", "stack"):
        fleet, before, line = trained(run_of(method, update, execute, teacher), digits)
        for i in range(PEERS):
            after = fleet.cohort.peer_state(i)
            still = [n for n, t in before[i].items() if t.is_floating_point() and torch.equal(t, after[n])]
            assert not still, f"of peer {i} these did not move"
        *rows, pairs = [row.to_json() for row in results(fleet, "test")]
        assert pairs["kind"] == "pairs"
        assert [(row["peer"], row["networks"]) for row in rows] == [(0, 1), (1, 1), (2, 1), (None, 2), (None, 3)]
        assert all(row["update"] == update and row["peers"] == PEERS and row["n"] == 797 for row in rows)
        assert all(0.0 <= row["accuracy"] <= 1.0 and row["nll"] > 0.0 for row in rows)
        ends[execute] = fleet, line["terms"]
    loop, terms = ends.pop("loop")
    for execute, (fleet, others) in ends.items():
        assert terms.keys() == others.keys()
        for name, values in terms.items():
            assert values == pytest.approx(others[name], rel=1e-8, abs=1e-10), (execute, name)
        for i in range(PEERS):
            states = fleet.cohort.peer_state(i)
            for name, tensor in loop.cohort.peer_state(i).items():
                said = f"{execute}, {name}: {{}}".format
                torch.testing.assert_close(states[name], tensor, rtol=1e-7, atol=1e-9, msg=said)
        assert vars(loop.cohort.passes) == vars(fleet.cohort.passes)


def reasons(method, update, teacher, digits):
    """In words of the errors, why a method cannot be run so; none where it has to be able to."""
    if (method, update) in REFUSED:
        return [REFUSED[method, update]]
    if update == "together":
        return []
    (member,) = build_fleet([run_of(method, "together", "loop", teacher)], dataset=digits).members
    return [words for words, holds in NO_TURNS.items() if holds(member.method)]


@pytest.mark.parametrize("update", get_args(Update))
@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_the_same_in_every_executor_or_says_why_not(method, update, digits, teacher):
    if why := reasons(method, update, teacher, digits):
        for execute in ("loop", "stack"):
            with pytest.raises(ValueError, match="|".join(map(re.escape, why))):
                trained(run_of(method, update, execute, teacher), digits)
    else:
        trains_the_same(method, update, digits, teacher)


def test_not_everything_is_refused(digits, teacher):
    able = [m for m in METHODS if not reasons(m, "in_turn", teacher, digits)]
    assert {"alone", "dml", "dml_ensemble", "kd"} <= set(able)


def test_options_and_refusals_are_of_methods_that_there_are():
    assert {*OPTIONS, *(method for method, _ in REFUSED)} <= set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_whether_it_has_parameters(method, digits, teacher):
    (member,) = build_fleet([run_of(method, "together", "loop", teacher)], dataset=digits).members
    assert any(p.requires_grad for p in member.method.parameters()) == find(method).needs.parameters
