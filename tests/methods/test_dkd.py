"""Decoupled knowledge distillation."""

import pytest
import torch

import naive
import small_nets
from codistill.batch import Batch, PerPeer
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.dkd import DKD
from codistill.training.build import repeat_graphs
from codistill.training.initial_weights import teacher_networks
from methods.references import check, check_seeds, teacher_folder, training_of

X, Y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])


def decoupled(source, student, y, alpha=1.0, beta=8.0, temperature=4.0):
    """alpha TCKD + beta NCKD of [B, C] logits, mean over the labelled samples, times T^2."""
    values = []
    for t, s, c in zip(source, student, y.tolist(), strict=True):
        if c < 0:
            continue
        q, p = naive.softmax(t, temperature), naive.softmax(s, temperature)
        others = [m for m in range(len(q)) if m != c]
        target = naive.divergence("kl", torch.stack([q[c], 1 - q[c]]), torch.stack([p[c], 1 - p[c]]))
        rest = naive.divergence("kl", q[others] / q[others].sum(), p[others] / p[others].sum())
        values.append(alpha * target + beta * rest)
    return temperature**2 * sum(values) / len(values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_from_a_frozen_teacher(folder, execute):
    training = training_of("dkd:teacher=t", execute=execute, teacher=folder)
    teachers = [net.double().eval() for net in teacher_networks(folder, training.fleet.run, training.fleet.dataset)]

    def loss(nets, batch, progress, method):
        risen = min(progress * 12, 1.0)
        total = 0.0
        for net in nets:
            z = net(batch.x)
            mimic = sum(decoupled(t(batch.x).detach(), z, batch.y) for t in teachers) / len(teachers)
            total = total + naive.label_loss(z, batch.y) + risen * mimic
        return total

    check(training, loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_between_peers_with_other_options(execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        total = 0.0
        for i in range(3):
            mimic = decoupled(z[(i + 1) % 3].detach(), z[i], batch.y, 0.5, 2.0, 3.0)
            total = total + 0.7 * naive.label_loss(z[i], batch.y) + min(progress / 0.25, 1.0) * mimic
        return total

    spec = "dkd:teacher=none,alpha=0.5,beta=2,temperature=3,task_weight=0.7,rise=0.25,graph=ring"
    check(training_of(spec, execute=execute), loss)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("dkd:teacher=none", execute="stack")


@pytest.mark.parametrize(("progress", "factor"), [(None, 1.0), (0.0, 0.0), (1 / 24, 0.5), (1 / 12, 1.0), (0.9, 1.0)])
def test_imitation_rises_over_a_twelfth_of_the_training(progress, factor):
    cohort = Cohort(small_nets.several("ccl"))
    whole = DKD(None)(cohort, Batch(X, Y))
    terms = DKD(None)(cohort, Batch(X, Y), progress)
    torch.testing.assert_close(terms["mimic"], factor * whole["mimic"])
    torch.testing.assert_close(terms["task"], whole["task"])
    torch.testing.assert_close(DKD(None, rise=0)(cohort, Batch(X, Y), 0.0), whole)


def test_samples_without_a_label_or_masked_out_are_not_in_the_mean():
    nets = small_nets.several("ccc")
    y, mask = torch.tensor([0, -1, 2, 0, -1, 1]), torch.tensor([1, 1, 1, 0, 0, 1])
    terms = DKD(None)(Cohort(nets), Batch(X, y, mask=mask))
    kept = [0, 2, 5]
    z = [net(X)[kept] for net in nets]
    for i in range(3):
        torch.testing.assert_close(terms["task"][i], naive.label_loss(z[i], y[kept]))
        others = [decoupled(z[j].detach(), z[i], y[kept]) for j in range(3) if j != i]
        torch.testing.assert_close(terms["mimic"][i], sum(others) / 2)
    nothing = DKD(None)(Cohort(nets), Batch(X, torch.full_like(Y, -1)))
    assert nothing["mimic"].abs().max() == 0.0


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_blocks_may_have_batches_of_their_own(execute):
    nets = small_nets.several("cccc")
    x, y = small_nets.images(2, 6), torch.tensor([[0, 1, 2, 0, 2, 1], [2, 2, 2, 1, 0, 0]])
    terms = repeat_graphs(DKD(None), 2)(Cohort(nets, execute=execute), Batch(PerPeer(x), y[[0, 0, 1, 1]]))
    for i in range(4):
        block, other = i // 2, i + 1 - 2 * (i % 2)
        z = [net(x[block]) for net in small_nets.several("cccc")]
        torch.testing.assert_close(terms["mimic"][i], decoupled(z[other], z[i], y[block]))


def test_each_student_has_its_own_labels_and_mask():
    nets = small_nets.several("cc")
    y, mask = torch.stack([Y, (Y + 1) % 3]), torch.tensor([[1, 1, 1, 0, 1, 1], [1, 0, 1, 1, 0, 1]])
    terms = DKD(None)(Cohort(nets), Batch(X, y, mask=mask))
    z = [net(X) for net in nets]
    for i in range(2):
        kept = mask[i].bool()
        torch.testing.assert_close(terms["mimic"][i], decoupled(z[1 - i][kept], z[i][kept], y[i][kept]))


def test_tokens_are_samples():
    torch.manual_seed(0)
    nets = [torch.nn.Linear(4, 3).double() for _ in range(2)]
    x, y = torch.randn(5, 2, 4, dtype=torch.float64), torch.tensor([[0, 1], [2, -1], [1, 1], [0, 2], [2, 2]])
    mask = torch.tensor([[1, 1], [1, 1], [0, 1], [1, 0], [1, 1]])
    tokens = DKD(None)(Cohort(nets), Batch(x, y, mask=mask, task="tokens"))
    flat = DKD(None)(Cohort(nets), Batch(x.flatten(0, 1), y.flatten(), mask=mask.flatten()))
    torch.testing.assert_close(tokens, flat)


def test_nothing_is_learnt_by_the_source():
    cohort = Cohort(small_nets.several("cc"))
    DKD(None)(cohort, Batch(X, Y))["mimic"][0].backward()
    assert all(p.grad is None or not p.grad.any() for p in cohort.network(1).parameters())
    assert any(p.grad is not None and p.grad.any() for p in cohort.network(0).parameters())


def test_what_cannot_be_is_said():
    for option in ("alpha", "beta", "task_weight"):
        with pytest.raises(ValueError, match=f"{option}=-1: give a number at least 0"):
            get(f"dkd:teacher=none,{option}=-1")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("dkd:teacher=none,temperature=0")
    with pytest.raises(ValueError, match="rise=20: give a number from 0 to 1"):
        get("dkd:teacher=none,rise=20")
    with pytest.raises(ValueError, match="method 'dkd' needs teacher"):
        get("dkd")
    cohort = Cohort(small_nets.several("cc"))
    for call in (DKD(None).check_task, lambda batch: DKD(None)(cohort, batch)):
        with pytest.raises(ValueError, match="task='multilabel': method 'dkd' is for task='classes' or 'tokens'"):
            call(Batch(X, Y, task="multilabel"))
    teacher = Cohort([small_nets.convolutional(4).double()]).frozen()
    with pytest.raises(ValueError, match="students have 3 classes and their sources 4"):
        DKD(teacher)(cohort, Batch(X, Y))
    with pytest.raises(ValueError, match="learns nothing from unlabelled=20 samples"):
        training_of("dkd:teacher=none", unlabelled=20)
