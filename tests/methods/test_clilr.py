"""Collaborative learning with shared intermediate representations."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from methods.references import check_branches, check_seeds, training_of


def total(stem, heads, batch, progress, method, temperature=2.0, weight=1.0):
    z = [head(stem) for head in heads]
    loss = 0.0
    for i, own in enumerate(z):
        others = [other.detach() for j, other in enumerate(z) if j != i]
        mimic = naive.softmax_kl(sum(others) / len(others), own, temperature)
        loss = loss + naive.label_loss(own, batch.y) + weight * temperature**2 * mimic
    return loss


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_with_a_third_of_the_gradient_in_the_trunk(execute):
    check_branches(training_of("clilr", execute=execute, branch_at="stage3"), total, trunk_factor=1 / 3)


def test_three_steps_with_other_options():
    def loss(*args):
        return total(*args, temperature=1.0, weight=0.5)

    training = training_of("clilr:temperature=1,weight=0.5", branch_at="stage2", peers=2)
    check_branches(training, loss, at="stage2", trunk_factor=1 / 2)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("clilr", branch_at="stage3", execute="stack")


def test_only_the_views_own_trunks_are_scaled():
    torch.manual_seed(0)
    cohort = Cohort([naive.small_net() for _ in range(5)], branch_at="3", trunks=[0, 0, 1, 1, 1])
    batch = Batch(torch.randn(4, 1, 8, 8), torch.zeros(4).long())
    get("clilr").prepare(cohort[2:], batch)
    assert [group.trunk_scale for group in cohort.parts()] == [1.0, 1 / 3]
    cohort = Cohort([naive.small_net() for _ in range(4)], branch_at="3", trunks=[0, 0, 1, 1])
    for peers in (cohort[:2], cohort[2:]):
        get("clilr").prepare(peers, batch)
    assert [group.trunk_scale for group in cohort.parts()] == [0.5, 0.5]


def test_the_target_is_of_the_others_logits_and_detached():
    torch.manual_seed(0)
    cohort = Cohort([naive.small_net().double() for _ in range(3)], branch_at="3")
    batch = Batch(torch.randn(4, 1, 8, 8, dtype=torch.float64), torch.zeros(4).long())
    method = get("clilr")
    method.prepare(cohort, batch)
    method(cohort, batch)["mimic"][1].backward()
    heads = cohort.parts()[0].heads
    assert [any(bool(p.grad.any()) for p in head.parameters()) for head in heads] == [False, True, False]


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="temperature=-1: give a number at least 1e-06"):
        get("clilr:temperature=-1")
    with pytest.raises(ValueError, match="method 'clilr' needs branches of one trunk: set branch_at"):
        training_of("clilr")
    with pytest.raises(ValueError, match="update='in_turn'|branches of one trunk have no turns"):
        training_of("clilr", branch_at="stage3", update="in_turn")
