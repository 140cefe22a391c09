"""Every method in every executor and update mode: one short epoch on digits.

A new file in `codistill/methods` is picked up by itself; what it needs of the settings is in its class. `OPTIONS` is
for what a method cannot be run without besides, `REFUSED` for what cannot be, with words of the error.
"""

from inspect import Parameter, signature

import pytest
import torch

from codistill import data, names
from codistill.fleet import Fleet
from codistill.methods import find
from codistill.run import UPDATES, Run
from codistill.train import Training, results, train

METHODS = names.available("codistill.methods")
PEERS = 3
STEPS = 3

# method -> (options of the method, settings of the run)
OPTIONS: dict[str, tuple[dict, dict]] = {}

# (method, update) -> why, in words of the error
REFUSED: dict[tuple[str, str], str] = {}

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
    if found.views > 1 or found.own_views:
        settings = {"augment": ("crop:pad=1",), **settings}
    if found.branches:
        settings = {"branch_at": "stage3", **settings}
    spec = str(names.Spec(method, (), options))
    return BASE.replace(method=spec, update=update, execute=execute, **settings)


def trained(run, dataset):
    """After its one epoch: the fleet, what every peer was before, the line of the log."""
    fleet = Fleet([run], dataset=dataset)
    before = [{n: t.clone() for n, t in fleet.cohort.peer_state(i).items()} for i in range(PEERS)]
    training = Training(fleet, None)
    for _ in range(STEPS):
        for terms in training.advance():
            assert terms
            assert all(term.shape in ((PEERS,), (1,)) and term.isfinite().all() for term in terms.values())
    assert training.step == fleet.total
    (line,) = training.finish_epoch()
    return fleet, before, line


CASES = [(m, update) for m in METHODS for update in UPDATES if (m, update) not in REFUSED]


@pytest.mark.parametrize(("method", "update"), CASES, ids=["-".join(case) for case in CASES])
def test_a_method_trains_and_loop_and_stack_agree(method, update, digits, teacher):
    ends = {}
    for execute in ("loop", "stack"):
        fleet, before, line = trained(run_of(method, update, execute, teacher), digits)
        for i in range(PEERS):
            after = fleet.cohort.peer_state(i)
            still = [n for n, t in before[i].items() if t.is_floating_point() and torch.equal(t, after[n])]
            assert not still, f"of peer {i} these did not move"
        rows = results(fleet, "test")
        assert [(row["peer"], row["networks"]) for row in rows] == [(0, 1), (1, 1), (2, 1), (None, 2), (None, 3)]
        assert all(row["update"] == update and row["peers"] == PEERS and row["n"] == 797 for row in rows)
        assert all(0.0 <= row["accuracy"] <= 1.0 and row["nll"] > 0.0 for row in rows)
        ends[execute] = fleet, line["terms"]
    (loop, terms), (stack, others) = ends["loop"], ends["stack"]
    assert terms.keys() == others.keys()
    for name, values in terms.items():
        assert values == pytest.approx(others[name], rel=1e-8, abs=1e-10), name
    for i in range(PEERS):
        states = loop.cohort.peer_state(i), stack.cohort.peer_state(i)
        for name, tensor in states[0].items():
            torch.testing.assert_close(tensor, states[1][name], rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    assert vars(loop.cohort.passes) == vars(stack.cohort.passes)


def test_what_is_refused_says_why(digits, teacher):
    for (method, update), words in REFUSED.items():
        with pytest.raises(ValueError, match=words):
            trained(run_of(method, update, "loop", teacher), digits)


def test_options_and_refusals_are_of_methods_that_there_are():
    assert {*OPTIONS, *(method for method, _ in REFUSED)} <= set(METHODS)
