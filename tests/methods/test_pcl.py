"""Peer collaborative learning."""

import math

import pytest
import torch
from torch import nn

import naive
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from methods.references import check, check_seeds, training_of
from methods.test_mmt import Followers

AUGMENT = ("crop:pad=1",)


def ramp(progress, part=0.27):
    return 1.0 if progress >= part else math.exp(-5.0 * (1.0 - progress / part) ** 2)


def losses(followers, cut, weight=1.0, temperature=3.0, part=0.27):
    """``cut`` splits a network at its feature."""

    def loss(nets, batch, progress, method):
        past = followers(nets, list(batch.x.inputs))
        h = [cut(net, x) for net, x in zip(nets, batch.x.inputs, strict=True)]
        z = [own for _, own in h]
        joint = torch.cat([feature for feature, _ in h], dim=1)
        ensemble = joint @ method.head.T + method.bias
        total = naive.label_loss(ensemble, batch.y)
        for i, own in enumerate(z):
            others = [naive.softmax_kl(past[j], own, temperature) for j in range(len(z)) if j != i]
            mimic = naive.softmax_kl(ensemble.detach(), own, temperature) + sum(others) / len(others)
            total = total + naive.label_loss(own, batch.y) + weight * ramp(progress, part) * temperature**2 * mimic
        return total

    return loss


def at_fc(net, x):
    h = net[:-1](x)
    return h, net[-1](h)


def at_stage2(net, x):
    maps = net[:2](x)
    return maps.mean((2, 3)), net[2:](maps)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_four_steps_on_views_of_their_own(execute):
    followers = Followers(0.999)
    training = training_of("pcl", execute=execute, augment=AUGMENT)
    check(training, losses(followers, at_fc), after=followers.follow, steps=4)


def test_three_steps_with_other_options():
    followers = Followers(0.5)
    spec = "pcl:weight=0.5,temperature=2,ramp=0.4,decay=0.5,features=stage2"
    loss = losses(followers, at_stage2, 0.5, 2.0, 0.4)
    check(training_of(spec, augment=AUGMENT, peers=2, execute="stack"), loss, after=followers.follow)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("pcl", execute="stack", augment=AUGMENT)


def small(nets, feature="5:input"):
    cohort = Cohort(nets)
    batch = Batch(torch.randn(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3, -1]))
    method = get(f"pcl:features={feature}")
    method.prepare(cohort, batch)
    return cohort, batch, method


def test_the_head_learns_from_its_label_loss_alone_and_so_do_its_features():
    torch.manual_seed(0)
    cohort, batch, method = small([naive.small_net().double() for _ in range(3)])
    terms = method(cohort, batch)
    assert {name: tuple(t.shape) for name, t in terms.items()} == {
        "task": (3,), "mimic": (3,), "past": (3,), "ensemble": ()
    }  # fmt: skip
    for name in ("mimic", "past"):
        cohort.zero_grad(), method.zero_grad()
        method(cohort, batch)[name][0].backward()
        assert method.head.grad is None
        moved = [
            any(p.grad is not None and bool(p.grad.any()) for p in cohort.network(i).parameters()) for i in range(3)
        ]
        assert moved == [True, False, False]
    cohort.zero_grad()
    method(cohort, batch)["ensemble"].sum().backward()
    assert method.head.grad.any()
    assert all(bool(cohort.network(i)[0].weight.grad.any()) for i in range(3))
    assert all(p.grad is None for p in method.averages.cohort.parameters())


def test_unlike_networks_put_features_of_any_width_side_by_side():
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(64, n), nn.Linear(n, 10)).double() for n in (4, 6)]
    cohort, batch, method = small(nets, feature="2:input")
    assert method.head.shape == (10, 10)
    h = torch.cat([net[:2](batch.x) for net in nets], 1)
    expected = nn.functional.cross_entropy((h @ method.head.T + method.bias)[:4], batch.y[:4])
    torch.testing.assert_close(method(cohort, batch)["ensemble"], expected)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="decay=-0.1: give a number from 0 to 1"):
        get("pcl:decay=-0.1")
    with pytest.raises(ValueError, match="no submodule of Sequential is called 'fx'"):
        training_of("pcl:features=fx", augment=AUGMENT)
    with pytest.raises(ValueError, match="method 'pcl' needs distorted views, and augment is empty"):
        training_of("pcl")
    with pytest.raises(
        ValueError, match="update='in_turn': this method has parameters of its own; use update='together'"
    ):
        training_of("pcl", augment=AUGMENT, update="in_turn")
    with pytest.raises(ValueError, match="branches of one trunk see the same inputs, and method 'pcl'"):
        training_of("pcl", augment=AUGMENT, branch_at="stage3")
