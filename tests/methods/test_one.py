"""On-the-fly native ensemble."""

import math
from dataclasses import replace

import pytest
import torch

import naive
from codistill.batch import Batch, Inputs
from codistill.cohort import Cohort
from codistill.methods import get
from methods.references import check_branches, check_seeds, training_of


def ramp(progress, part=0.27):
    return 1.0 if progress >= part else math.exp(-5.0 * (1.0 - progress / part) ** 2)


def gate(stem, method):
    """[B, branches], a sample and a branch at a time."""
    h = torch.stack([torch.stack([channel.mean() for channel in one]) for one in stem])  # [B, F]
    columns = []
    for i in range(len(method.fc)):
        score = torch.stack([(row * method.fc[i]).sum() for row in h])
        centred = score - score.mean()
        score = centred / torch.sqrt((centred**2).mean() + 1e-5) * method.scale[i] + method.shift[i]
        columns.append(torch.clamp(score, min=0.0))
    rows = torch.stack(columns, 1)
    return torch.stack([naive.softmax(row) for row in rows])


def total(stem, heads, batch, progress, method, temperature=3.0, weight=1.0):
    z = [head(stem) for head in heads]
    g = gate(stem, method)
    ensemble = sum(g[:, i : i + 1] * z[i] for i in range(len(z)))
    mimic = sum(naive.softmax_kl(ensemble.detach(), own, temperature) for own in z)
    task = sum(naive.label_loss(own, batch.y) for own in z)
    return task + naive.label_loss(ensemble, batch.y) + weight * ramp(progress) * temperature**2 * mimic


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    check_branches(training_of("one", execute=execute, branch_at="stage3"), total)


def test_three_steps_with_other_options():
    def loss(*args):
        return total(*args, temperature=2.0, weight=0.5)

    check_branches(training_of("one:temperature=2,weight=0.5", branch_at="pool"), loss, at="pool")


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("one", branch_at="stage3", execute="stack")


def small(peers=3):
    torch.manual_seed(0)
    nets = [naive.small_net().double() for _ in range(peers)]
    cohort = Cohort(nets, branch_at="3")
    x = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    batch = Batch(x, torch.tensor([0, 1, 2, 3, 4, -1]))
    method = get("one")
    method.prepare(cohort, batch)
    return cohort, batch, method


def test_the_ensembles_label_loss_trains_gate_and_trunk_and_its_divergence_does_not():
    cohort, batch, method = small()
    for name, trains in (("ensemble", True), ("mimic", False)):
        cohort.zero_grad(), method.zero_grad()
        method(cohort, batch)[name].sum().backward()
        assert all((p.grad is not None and p.grad.abs().sum() > 0) == trains for p in method.parameters())
        assert all(p.grad is not None for p in cohort.parameters())


def test_no_branch_is_moved_by_anothers_imitation():
    cohort, batch, method = small()
    method(cohort, batch)["mimic"][0].backward()
    heads = cohort.parts()[0].heads
    assert [any(bool(p.grad.any()) for p in head.parameters()) for head in heads] == [True, False, False]


def test_an_unlabelled_sample_imitates_and_has_no_label_loss():
    cohort, batch, method = small()
    z = cohort(batch.x).logits
    z.retain_grad()
    batch = replace(batch, x=Inputs(batch.x))
    with cohort.remember():
        terms = method(cohort, batch)
        z = cohort(batch.x).logits
        for name, moves in (("task", False), ("ensemble", False), ("mimic", True)):
            (grad,) = torch.autograd.grad(terms[name].sum(), z, retain_graph=True)
            assert bool(grad[:, -1].any()) == moves


def test_the_ensembles_term_belongs_to_no_peer():
    cohort, batch, method = small()
    shapes = {name: tuple(term.shape) for name, term in method(cohort, batch).items()}
    assert shapes == {"task": (3,), "mimic": (3,), "ensemble": ()}
    assert {tuple(p.shape) for p in method.parameters()} == {(3, 4), (3,)}
    gates = method.gate(torch.randn(5, 4, dtype=torch.float64))
    assert gates.shape == (5, 3)
    torch.testing.assert_close(gates.sum(-1), torch.ones(5, dtype=torch.float64))


def test_half_precision_features_give_a_gate_in_full_precision():
    training = training_of("one", branch_at="stage3", precision="bfloat16")
    assert {p.dtype for p in training.fleet.members[0].method.parameters()} == {torch.float32}
    (terms,) = training.advance()
    assert all(t.isfinite().all() for t in terms.values())


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("one:temperature=0")
    with pytest.raises(ValueError, match="ramp=2: give a number from 0 to 1"):
        get("one:ramp=2")
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("one:weight=-1")
    with pytest.raises(ValueError, match="needs its 2 peers to be the branches of one trunk"):
        get("one").prepare(
            Cohort([naive.small_net(), naive.small_net()]), Batch(torch.zeros(2, 1, 8, 8), torch.zeros(2))
        )
    with pytest.raises(ValueError, match="method 'one' needs branches of one trunk: set branch_at"):
        training_of("one")
    with pytest.raises(ValueError, match="peers=1: 'one' has nobody to learn from"):
        training_of("one", peers=1, branch_at="stage3")
