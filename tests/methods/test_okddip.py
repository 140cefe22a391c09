"""Online distillation with diverse peers."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import naive
from codistill.batch import Batch, Inputs
from codistill.cohort import Cohort
from codistill.methods import get
from methods.references import check, check_branches, check_seeds, training_of


def ramp(progress, part=0.27):
    return 1.0 if progress >= part else math.exp(-5.0 * (1.0 - progress / part) ** 2)


def objective(z, h, y, query, key, weight, temperature=3.0):
    """z and h of all peers [B, C], [B, F], the last the leader's."""
    peers = len(z) - 1
    total = naive.label_loss(z[-1], y)
    mean = sum(own.detach() for own in z[:-1]) / peers
    total = total + weight * temperature**2 * naive.softmax_kl(mean, z[-1], temperature)
    for i in range(peers):
        rows = []
        for b in range(len(y)):
            scores = torch.stack([(query @ h[i][b]) @ (key @ h[j][b]) for j in range(peers)])
            a = naive.softmax(scores)
            rows.append(sum(a[j] * z[j][b].detach() for j in range(peers)))
        mimic = naive.softmax_kl(torch.stack(rows), z[i], temperature)
        total = total + naive.label_loss(z[i], y) + weight * temperature**2 * mimic
    return total


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_of_networks(execute):
    def loss(nets, batch, progress, method):
        h = [net[:-1](batch.x) for net in nets]
        z = [net[-1](own) for net, own in zip(nets, h, strict=True)]
        return objective(z, h, batch.y, method.query, method.key, ramp(progress))

    check(training_of("okddip", execute=execute), loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_of_branches_with_other_options(execute):
    def loss(stem, heads, batch, progress, method):
        maps = [head[:1](stem) for head in heads]
        h = [m.mean((2, 3)) for m in maps]
        z = [head[1:](m) for head, m in zip(heads, maps, strict=True)]
        assert method.query.shape == (4, 8)
        return objective(z, h, batch.y, method.query, method.key, 0.5 * ramp(progress, 0.5), 2.0)

    spec = "okddip:weight=0.5,temperature=2,ramp=0.5,size=4,features=stage3"
    check_branches(training_of(spec, execute=execute, branch_at="stage3", peers=4), loss)


@pytest.mark.parametrize("settings", [{}, {"branch_at": "stage3"}], ids=str)
def test_two_seeds_in_one_fleet_are_two_runs(settings):
    check_seeds("okddip", execute="stack", **settings)


def small():
    torch.manual_seed(0)
    cohort = Cohort([naive.small_net().double() for _ in range(4)], execute="stack")
    batch = Batch(torch.randn(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3, -1]))
    method = get("okddip:features=5:input")
    method.prepare(cohort, batch)
    return cohort, batch, method


def test_the_gradient_goes_through_the_attention_and_not_through_the_logits_of_others():
    cohort, batch, method = small()
    batch = replace(batch, x=Inputs(batch.x))
    with cohort.remember():
        terms = method(cohort, batch)
        z = cohort(batch.x).logits
        first, leader = terms["mimic"][0], terms["mimic"][3]
        (to_z,) = torch.autograd.grad(first, z, retain_graph=True)
        assert [bool(g.any()) for g in to_z] == [True, False, False, False]
        to_own = torch.autograd.grad(first, [method.query, method.key], retain_graph=True)
        assert all(g.abs().sum() > 0 for g in to_own)
        (to_z,) = torch.autograd.grad(leader, z, retain_graph=True)
        assert [bool(g.any()) for g in to_z] == [False, False, False, True]
        assert not any(g.any() for g in torch.autograd.grad(leader, [method.query, method.key]))


def test_nobody_learns_from_the_leader():
    cohort, batch, method = small()
    before = method(cohort, batch)["mimic"].detach()
    cohort.load_peer_state(3, {n: t + 0.1 if t.is_floating_point() else t for n, t in cohort.peer_state(3).items()})
    after = method(cohort, batch)["mimic"].detach()
    torch.testing.assert_close(after[:3], before[:3])
    assert after[3] != before[3]


def test_attention_is_over_the_peers_and_sums_to_one():
    _, _, method = small()
    a = method.attention(torch.randn(3, 5, 16, dtype=torch.float64))
    assert a.shape == (5, 3, 3)
    torch.testing.assert_close(a.sum(-1), torch.ones(5, 3, dtype=torch.float64))


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="size=0: give a whole number of at least 1"):
        get("okddip:size=0")
    with pytest.raises(ValueError, match="size=2.5: give a whole number of at least 1"):
        get("okddip:size=2.5")
    with pytest.raises(ValueError, match="peers=2: okddip needs two that learn from each other and a leader"):
        training_of("okddip", peers=2)
    with pytest.raises(ValueError, match="no submodule of Sequential is called 'fx'"):
        training_of("okddip:features=fx")
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 3)) for width in (4, 4, 5)]
    with pytest.raises(ValueError, match="features='2:input' are 4, 4, 5 wide in these peers"):
        get("okddip:features=2:input").prepare(Cohort(nets), Batch(torch.zeros(2, 1, 8, 8), torch.zeros(2).long()))
    with pytest.raises(
        ValueError,
        match="shards='equal': peers of 'okddip' compare what they make of samples that all have, and there are none",
    ):
        training_of("okddip", shards=True, batch=10)
