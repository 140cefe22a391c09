import copy
from math import cos, pi

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import small_nets
from codistill import checkpoint, optim, schedules
from codistill.cohort import Cohort
from codistill.run import Run
from codistill.spec import UnknownName

EXECUTORS = ["loop", "stack"]
quick = settings(derandomize=True, deadline=None, max_examples=40)


# Schedules ----------------------------------------------------------------------------------------------------------


def test_the_rate_falls_at_the_very_first_step_of_epochs_60_120_and_180():
    factor = optim.schedule("step:at=0.3/0.6/0.9,by=0.1")
    epochs, steps = 200, 391
    for place, epoch in enumerate((60, 120, 180)):
        first = epoch * steps
        assert factor((first - 1) / (epochs * steps)) == pytest.approx(0.1**place)
        assert factor(first / (epochs * steps)) == pytest.approx(0.1 ** (place + 1))
    assert factor(0.0) == 1.0
    assert factor(1.0) == pytest.approx(0.001)


@given(steps=st.integers(1, 5000))
@quick
def test_a_mark_is_met_exactly_however_many_steps_an_epoch_has(steps):
    factor = schedules.step()
    for tenth, before, after in ((3, 1.0, 0.1), (6, 0.1, 0.01), (9, 0.01, 0.001)):
        first = 20 * tenth * steps
        assert factor((first - 1) / (200 * steps)) == pytest.approx(before)
        assert factor(first / (200 * steps)) == pytest.approx(after)


@pytest.mark.parametrize(
    ("spec", "progress", "value"),
    [
        ("step:at=0.5,by=0.2", 0.5, 0.2),
        ("step:at=0.5,by=0.2", 0.49, 1.0),
        ("step:0.5,0.2", 0.5, 0.2),
        ("step", 0.6, 0.01),
        ("step:by=0.5", 0.95, 0.125),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        ("cosine", 1 / 3, 0.75),
        ("cosine", 1.0, 0.0),
        ("cosine:floor=0.2", 1.0, 0.2),
        ("cosine:floor=0.2", 0.5, 0.6),
        ("linear", 0.25, 0.75),
        ("linear:floor=0.1", 1.0, 0.1),
        ("linear:0.5", 1.0, 0.5),
        ("constant", 0.9, 1.0),
    ],
)
def test_schedules_have_the_values_computed_by_hand(spec, progress, value):
    assert optim.schedule(spec)(progress) == pytest.approx(value, abs=1e-12)


def test_warm_up_rises_linearly_to_the_schedules_own_value():
    factor = optim.schedule("cosine", warmup=0.2)
    assert factor(0.0) == 0.0
    assert factor(0.1) == pytest.approx(0.5 * 0.5 * (1 + cos(0.1 * pi)))
    assert factor(0.2) == pytest.approx(0.5 * (1 + cos(0.2 * pi)))
    assert factor(0.7) == optim.schedule("cosine")(0.7)


@pytest.mark.parametrize(
    ("spec", "warmup", "said"),
    [
        ("step:at=60/120", 0.0, "at='60/120': give fractions of training between 0 and 1, such as 0.3/0.6/0.9"),
        ("step:at=0.3/x", 0.0, "at='0.3/x': give fractions of training"),
        ("step:by=x", 0.0, "by='x': give a number"),
        ("cosine:floor=x", 0.0, "floor='x': give a number"),
        ("step:at=1.0", 0.0, "at=1.0: give fractions"),
        ("cosine:flor=0.1", 0.0, "no option of schedule 'cosine' is called 'flor': did you mean 'floor'"),
        ("constant:3", 0.0, "schedule 'constant:3': 3 is one too many"),
        ("cosine", 1.0, "warmup=1.0: give a number from 0 to below 1"),
        ("cosine", -0.1, "warmup=-0.1"),
    ],
)
def test_invalid_schedules_are_refused(spec, warmup, said):
    with pytest.raises(ValueError, match=said):
        optim.schedule(spec, warmup)


def test_a_misspelt_schedule_gets_the_nearest_and_an_optimizer_all_of_them():
    with pytest.raises(UnknownName, match="no schedule is called 'cosin': did you mean 'cosine'"):
        optim.schedule("cosin")
    with pytest.raises(ValueError, match="optimizer='admw': give 'sgd' or 'adam' or 'adamw'"):
        Run(optimizer="admw")


# Optimizers ---------------------------------------------------------------------------------------------------------

SETTINGS = [
    ("sgd", {"momentum": 0.9, "weight_decay": 5e-4}),
    ("sgd", {"momentum": 0.0}),
    ("adam", {"betas": (0.5, 0.99), "weight_decay": 1e-2}),
    ("adamw", {"weight_decay": 1e-1}),
]

# a bias before batch norm has a gradient of nothing but rounding, which Adam divides by its size
ADAM = {"rtol": 1e-7, "atol": 1e-8}
ROUNDING = {"sgd": {"rtol": 1e-9, "atol": 1e-11}, "adam": ADAM, "adamw": ADAM}


def run_of(name, settings):
    return Run(optimizer=name, learning_rate=0.05, **{"weight_decay": 0.0, **settings})


def reference(name, parameters, settings):
    settings = {"lr": 0.05, **settings}
    if name == "sgd":
        return torch.optim.SGD(parameters, nesterov=settings["momentum"] > 0, **settings)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](parameters, **settings)


def one_step(cohort, optimizer, seed):
    optimizer.zero_grad()
    cohort(small_nets.images(6, seed=seed)).logits.square().mean((1, 2)).sum().backward()
    optimizer.step()


def parameters_of(cohort):
    return [leaf for leaf in cohort.leaves() if isinstance(leaf.tensor, nn.Parameter)]


def steps_of_each(nets, optimizers, step):
    """A step of each network by itself, with an optimizer of its own."""
    for net, each in zip(nets, optimizers, strict=True):
        each.zero_grad()
        net(small_nets.images(6, seed=step)).square().mean().backward()
        each.step()


def assert_alike(cohort, nets, name):
    """The cohort's networks are those that learned by themselves."""
    for i, net in enumerate(nets):
        state = cohort.peer_state(i)
        for key, parameter in net.named_parameters():
            torch.testing.assert_close(state[key], parameter.detach(), **ROUNDING[name])


@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_a_cohorts_steps_are_each_networks_own(name, settings, execute):
    nets = small_nets.several("clc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    optimizer = optim.build(cohort.parameters(), run_of(name, settings))
    own = [reference(name, net.parameters(), settings) for net in nets]
    for step in range(4):
        one_step(cohort, optimizer, step)
        steps_of_each(nets, own, step)
    assert_alike(cohort, nets, name)


@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_peers_learn_at_rates_and_with_decays_of_their_own(name, settings, execute):
    rates = [optim.Rates(*each) for each in ((0.05, 0.0), (0.05, 0.0), (0.2, 0.0), (0.05, 0.3))]
    nets = small_nets.several("cccc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    leaves, divided = optim.divide(parameters_of(cohort), rates)
    parameters = {leaf.tensor: rates[leaf.peers[0]] for leaf in leaves}
    optimizer = optim.build(parameters, run_of(name, settings), parameters.values())
    own = [
        reference(name, net.parameters(), settings | {"lr": rate, "weight_decay": decay})
        for net, (rate, decay) in zip(nets, rates, strict=True)
    ]
    for step in range(4):
        cohort.zero_grad()
        cohort(small_nets.images(6, seed=step)).logits.square().mean((1, 2)).sum().backward()
        for each in divided:
            each.hand_out()
        optimizer.step()
        optimizer.zero_grad()
        steps_of_each(nets, own, step)
    assert_alike(cohort, nets, name)


def test_parameters_that_are_not_trained_are_left_out():
    trained, not_trained = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1), requires_grad=False)
    optimizer = optim.build(iter([trained, not_trained]), Run(learning_rate=0.1))
    assert [id(p) for group in optimizer.param_groups for p in group["params"]] == [id(trained)]


@pytest.mark.parametrize("other", EXECUTORS)
@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_a_restored_optimizer_goes_on_as_if_nothing_had_been(name, settings, execute, other):
    def made(how):
        cohort = Cohort(small_nets.several("clc"), execute=how)
        return cohort, optim.build(cohort.parameters(), run_of(name, settings))

    cohort, optimizer = made(execute)
    for step in range(3):
        one_step(cohort, optimizer, step)
    peers = {n: t.clone() for n, t in checkpoint.peers_of(cohort).items()}
    state = checkpoint.optimizer_state(optimizer, parameters_of(cohort))
    one_step(cohort, optimizer, 3)
    again, restored = made(other)
    checkpoint.restore_peers(again, peers)
    checkpoint.restore_optimizer(restored, parameters_of(again), state)
    one_step(again, restored, 3)
    expected = checkpoint.peers_of(cohort)
    tolerance = {"rtol": 0, "atol": 0} if execute == other else ROUNDING[name]
    torch.testing.assert_close(checkpoint.peers_of(again), expected, **tolerance)
    if name != "sgd" or settings["momentum"]:  # and without its state it would not
        plain, fresh = made(other)
        checkpoint.restore_peers(plain, peers)
        one_step(plain, fresh, 3)
        assert not torch.allclose(plain.peer_state(0)["8.weight"], expected["0.8.weight"], rtol=1e-6)


# Clipping -----------------------------------------------------------------------------------------------------------


def with_gradients(kinds, execute):
    """A cohort and its networks with the same gradients, small for some peers and large for others."""
    nets = small_nets.several(kinds)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    x = small_nets.images(6)
    weights = torch.tensor([0.01, 3.0, 100.0, 0.5], dtype=torch.float64)[: len(nets)]
    (weights * cohort(x).logits.square().mean((1, 2))).sum().backward()
    for weight, net in zip(weights, nets, strict=True):
        (weight * net(x).square().mean()).backward()
    return cohort, nets


@pytest.mark.parametrize("limit", [1e-3, 0.3, 1e6])
@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize("kinds", ["cccc", "clcl", "c"])
def test_clipping_is_that_of_torch_of_each_network_alone(kinds, execute, limit):
    cohort, nets = with_gradients(kinds, execute)
    leaves = parameters_of(cohort)
    norms = optim.clip(leaves, len(cohort), limit)
    expected = torch.stack([nn.utils.clip_grad_norm_(net.parameters(), limit) for net in nets])
    torch.testing.assert_close(norms, expected, rtol=1e-10, atol=0)
    for leaf in leaves:
        for row, peer in enumerate(leaf.peers):
            own = dict(nets[peer].named_parameters())[leaf.name].grad
            grad = leaf.tensor.grad[row] if leaf.stacked else leaf.tensor.grad
            torch.testing.assert_close(grad, own, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_a_peer_that_diverges_does_not_clip_the_others(execute):
    cohort, nets = with_gradients("ccc", execute)
    for leaf in (leaves := parameters_of(cohort)):
        if 1 in leaf.peers:
            (leaf.tensor.grad[1] if leaf.stacked else leaf.tensor.grad).fill_(float("nan"))
    norms = optim.clip(leaves, 3, 0.3)
    assert norms.isnan().tolist() == [False, True, False]
    nn.utils.clip_grad_norm_(nets[2].parameters(), 0.3)
    for leaf in leaves:
        if 2 in leaf.peers:
            grad = leaf.tensor.grad[leaf.peers.index(2)] if leaf.stacked else leaf.tensor.grad
            own = dict(nets[2].named_parameters())[leaf.name].grad
            torch.testing.assert_close(grad, own, rtol=1e-9, atol=1e-12)


def test_a_peer_without_a_gradient_has_a_norm_of_zero():
    cohort = Cohort(small_nets.several("cl"))
    cohort[1](small_nets.images(6)).logits.sum().backward()
    norms = optim.clip(parameters_of(cohort), 2, 1.0)
    assert norms[0] == 0.0
    assert norms[1] > 0.0
