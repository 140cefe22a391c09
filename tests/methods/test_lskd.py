"""Distillation of standardised logits."""

import pytest
import torch

import naive
import small_nets
from codistill.batch import Batch, PerPeer
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.lskd import LSKD
from codistill.training.build import repeat_graphs
from codistill.training.initial_weights import teacher_networks
from methods.references import check, check_seeds, teacher_folder, training_of

X, Y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])


def standardised(source, student, temperature=2.0):
    """T^2 KL of the softmaxes of the z-scores, mean over samples."""

    def scores(row):
        mean = row.sum() / len(row)
        return (row - mean) / (torch.sqrt(((row - mean) ** 2).sum() / (len(row) - 1)) + 1e-7)

    values = [
        naive.divergence("kl", naive.softmax(scores(t), temperature), naive.softmax(scores(s), temperature))
        for t, s in zip(source, student, strict=True)
    ]
    return temperature**2 * sum(values) / len(values)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_from_a_frozen_teacher(folder, execute):
    training = training_of("lskd:teacher=t", execute=execute, teacher=folder)
    teachers = [net.double().eval() for net in teacher_networks(folder, training.fleet.run, training.fleet.dataset)]

    def loss(nets, batch, progress, method):
        total = 0.0
        for net in nets:
            z = net(batch.x)
            mimic = sum(standardised(t(batch.x).detach(), z) for t in teachers) / len(teachers)
            total = total + 0.1 * naive.label_loss(z, batch.y) + 9.0 * mimic
        return total

    check(training, loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_between_peers_with_other_options(execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        total = 0.0
        for i in range(3):
            mimic = sum(standardised(z[j].detach(), z[i], 3.0) for j in range(3) if j != i) / 2
            total = total + naive.label_loss(z[i], batch.y) + 2.0 * mimic
        return total

    check(training_of("lskd:teacher=none,weight=2,task_weight=1,temperature=3", execute=execute), loss)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("lskd:teacher=none", execute="stack")


def test_a_teacher_on_another_scale_says_the_same():
    nets = small_nets.several("cc")
    cohort = Cohort(nets[:1])

    class Louder(torch.nn.Module):
        def __init__(self, net, factor, shift):
            super().__init__()
            self.net, self.factor, self.shift = net, factor, shift

        def forward(self, x):
            return self.factor * self.net(x) + self.shift

    values = [
        LSKD(Cohort([Louder(nets[1], *by)]).frozen())(cohort, Batch(X, Y))["mimic"] for by in ((1, 0), (20, 0), (5, -7))
    ]
    torch.testing.assert_close(values[1], values[0], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(values[2], values[0], rtol=1e-4, atol=1e-7)
    plain = [get("kd", teacher=Cohort([Louder(nets[1], by, 0)]).frozen())(cohort, Batch(X, Y)) for by in (1, 20)]
    assert not torch.allclose(plain[0]["mimic"], plain[1]["mimic"], rtol=0.1)


def test_samples_without_a_label_imitate_and_masked_ones_do_not():
    nets = small_nets.several("ccc")
    y, mask = torch.tensor([0, -1, 2, 0, -1, 1]), torch.tensor([1, 1, 1, 0, 1, 1])
    terms = LSKD(None)(Cohort(nets), Batch(X, y, mask=mask))
    kept = mask.bool()
    z = [net(X) for net in nets]
    for i in range(3):
        others = [standardised(z[j].detach()[kept], z[i][kept]) for j in range(3) if j != i]
        torch.testing.assert_close(terms["mimic"][i], 9.0 * sum(others) / 2)
        torch.testing.assert_close(terms["task"][i], 0.1 * naive.label_loss(z[i][[0, 2, 5]], y[[0, 2, 5]]))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_blocks_may_have_batches_of_their_own(execute):
    x = small_nets.images(2, 6)
    cohort = Cohort(small_nets.several("cccc"), execute=execute)
    terms = repeat_graphs(LSKD(None), 2)(cohort, Batch(PerPeer(x), Y.expand(4, 6)))
    for i in range(4):
        z = [net(x[i // 2]) for net in small_nets.several("cccc")]
        torch.testing.assert_close(terms["mimic"][i], 9.0 * standardised(z[i + 1 - 2 * (i % 2)], z[i]))


def test_what_cannot_be_is_said():
    for option in ("weight", "task_weight"):
        with pytest.raises(ValueError, match=f"{option}=-1: give a number at least 0"):
            get(f"lskd:teacher=none,{option}=-1")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("lskd:teacher=none,temperature=0")
    cohort = Cohort(small_nets.several("cc"))
    for task in ("binary", "multilabel"):
        for call in (LSKD(None).check_task, lambda batch: LSKD(None)(cohort, batch)):
            with pytest.raises(ValueError, match=f"task='{task}': method 'lskd' is for task='classes' or 'tokens'"):
                call(Batch(X, Y, task=task))
    teacher = Cohort([small_nets.convolutional(4).double()]).frozen()
    with pytest.raises(ValueError, match="students have 3 classes and their sources 4"):
        LSKD(teacher)(cohort, Batch(X, Y))
