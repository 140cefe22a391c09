"""Distillation of relations."""

import pytest
import torch

import naive
import small_nets
from codistill.batch import Batch, PerPeer
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.dist import DIST
from codistill.training.build import repeat_graphs
from codistill.training.initial_weights import teacher_networks
from methods.references import check, check_seeds, teacher_folder, training_of

X, Y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])


def pearson(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())


def relations(source, student, beta=1.0, gamma=1.0, temperature=1.0):
    """Of [B, C] logits: the distance between classes and within them."""
    q = torch.stack([naive.softmax(row, temperature) for row in source])
    p = torch.stack([naive.softmax(row, temperature) for row in student])
    between = sum(1 - pearson(p[b], q[b]) for b in range(len(p))) / len(p)
    within = sum(1 - pearson(p[:, c], q[:, c]) for c in range(p.shape[1])) / p.shape[1]
    return temperature**2 * (beta * between + gamma * within)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_from_a_frozen_teacher(folder, execute):
    training = training_of("dist:teacher=t", execute=execute, teacher=folder)
    teachers = [net.double().eval() for net in teacher_networks(folder, training.fleet.run, training.fleet.dataset)]

    def loss(nets, batch, progress, method):
        total = 0.0
        for net in nets:
            z = net(batch.x)
            mimic = sum(relations(t(batch.x).detach(), z) for t in teachers) / len(teachers)
            total = total + naive.label_loss(z, batch.y) + mimic
        return total

    check(training, loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_between_peers_with_other_options(execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        total = 0.0
        for i in range(3):
            mimic = relations(z[(i + 1) % 3].detach(), z[i], 0.5, 2.0, 4.0)
            total = total + 0.7 * naive.label_loss(z[i], batch.y) + mimic
        return total

    spec = "dist:teacher=none,beta=0.5,gamma=2,temperature=4,task_weight=0.7,graph=ring"
    check(training_of(spec, execute=execute), loss)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("dist:teacher=none", execute="stack")


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_the_batch_is_each_blocks_own(execute):
    nets = small_nets.several("cccc")
    x = small_nets.images(2, 6)
    mask = torch.tensor([[1, 1, 0, 1, 1, 1], [1, 0, 0, 1, 1, 1]])
    batch = Batch(PerPeer(x), Y.expand(4, 6), mask=mask[[0, 0, 1, 1]])
    terms = repeat_graphs(DIST(None), 2)(Cohort(nets, execute=execute), batch)
    for i in range(4):
        block, other = i // 2, i + 1 - 2 * (i % 2)
        kept = mask[block].bool()
        z = [net(x[block])[kept] for net in small_nets.several("cccc")]
        torch.testing.assert_close(terms["mimic"][i], relations(z[other], z[i]))


def test_each_student_has_its_own_mask():
    nets = small_nets.several("cc")
    mask = torch.tensor([[1, 1, 1, 0, 1, 1], [1, 0, 1, 1, 0, 1]])
    terms = DIST(None)(Cohort(nets), Batch(X, Y, mask=mask))
    z = [net(X) for net in nets]
    for i in range(2):
        kept = mask[i].bool()
        torch.testing.assert_close(terms["mimic"][i], relations(z[1 - i][kept], z[i][kept]))


def test_samples_without_a_label_are_compared_too():
    nets = small_nets.several("ccc")
    y = torch.tensor([0, -1, 2, 0, -1, 1])
    terms = DIST(None)(Cohort(nets), Batch(X, y))
    z = [net(X) for net in nets]
    for i in range(3):
        others = [relations(z[j].detach(), z[i]) for j in range(3) if j != i]
        torch.testing.assert_close(terms["mimic"][i], sum(others) / 2)
        torch.testing.assert_close(terms["task"][i], naive.label_loss(z[i][y >= 0], y[y >= 0]))


def test_a_stronger_scale_of_the_same_order_costs_little():
    # what the method is for: a linear change of the posteriors costs nothing
    z = [torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (0, 1)]
    mixed = (0.3 * z[0].softmax(-1) + 0.7 * 0.25).log()

    def value(source):
        class Given(torch.nn.Module):
            def __init__(self, logits):
                super().__init__()
                self.z = torch.nn.Parameter(logits)

            def forward(self, x):
                return self.z

        return DIST(None, graph=[[0, 1], [0, 0]])(Cohort([Given(z[0][0]), Given(source[0])]), Batch(X[:5], Y[:5]))

    assert value(mixed)["mimic"][0].item() == pytest.approx(0.0, abs=1e-10)
    assert value(z[1])["mimic"][0].item() > 0.1


def test_nothing_is_learnt_by_the_source():
    cohort = Cohort(small_nets.several("cc"))
    DIST(None)(cohort, Batch(X, Y))["mimic"][0].backward()
    assert all(p.grad is None or not p.grad.any() for p in cohort.network(1).parameters())
    assert any(p.grad is not None and p.grad.any() for p in cohort.network(0).parameters())


def test_what_cannot_be_is_said():
    for option in ("beta", "gamma", "task_weight"):
        with pytest.raises(ValueError, match=f"{option}=-1: give a number at least 0"):
            get(f"dist:teacher=none,{option}=-1")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("dist:teacher=none,temperature=0")
    cohort = Cohort(small_nets.several("cc"))
    for call in (DIST(None).check_task, lambda batch: DIST(None)(cohort, batch)):
        with pytest.raises(ValueError, match="task='binary': method 'dist' is for task='classes' or 'tokens'"):
            call(Batch(X, Y, task="binary"))
    teacher = Cohort([small_nets.convolutional(4).double()]).frozen()
    with pytest.raises(ValueError, match="students have 3 classes and their sources 4"):
        DIST(teacher)(cohort, Batch(X, Y))
