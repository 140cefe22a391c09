"""Mutual mean teaching."""

import copy
from dataclasses import replace

import pytest
import torch

import naive
from codistill import checkpoint
from codistill.batch import Batch, Inputs, PerPeer
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.run import Run
from codistill.training.loop import resume, train
from codistill.training.records import logged
from fleet_batches import batches_of
from methods.references import check, check_seeds, training_of


class Followers:
    """EMA copies of plain modules, by MMT's rule."""

    def __init__(self, decay):
        self.decay, self.steps, self.copies = decay, 0, None

    def __call__(self, nets, x):
        if self.copies is None:
            self.copies = copy.deepcopy(nets)
        return [naive.without_statistics(net, own) for net, own in zip(self.copies, x, strict=True)]

    def follow(self, nets, *_):
        decay = min(1.0 - 1.0 / (self.steps + 1), self.decay)
        self.steps += 1
        with torch.no_grad():
            for own, net in zip(self.copies, nets, strict=True):
                for a, b in zip(own.parameters(), net.parameters(), strict=True):
                    a.copy_(decay * a + (1.0 - decay) * b)
                for a, b in zip(own.buffers(), net.buffers(), strict=True):
                    a.copy_(b)


def losses(followers, weight, temperature, sources):
    def loss(nets, batch, progress, method):
        views = list(batch.x.inputs) if isinstance(batch.x, PerPeer) else [batch.x] * len(nets)
        past = followers(nets, views)
        total = 0.0
        for i, net in enumerate(nets):
            z = net(views[i])
            wanted = sources(i, len(nets))
            mimic = sum(naive.softmax_kl(past[j], z, temperature) for j in wanted) / len(wanted)
            total = total + (1 - weight) * naive.label_loss(z, batch.y) + weight * temperature**2 * mimic
        return total

    return loss


VIEWS = {"augment": ("crop:pad=1",)}


def others(i, peers):
    return [j for j in range(peers) if j != i]


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize(("spec", "settings"), [("mmt", VIEWS), ("mmt:own_views=false", {})])
def test_five_steps(spec, settings, execute):
    """Peer i and its average see view i, or all one view."""
    followers = Followers(0.999)
    loss = losses(followers, 0.5, 1.0, others)
    check(training_of(spec, execute=execute, **settings), loss, after=followers.follow, steps=5)


def test_every_peer_has_a_view_of_its_own_unless_it_is_shared():
    (batch,) = batches_of(training_of("mmt", **VIEWS).fleet, 0, 0)
    assert isinstance(batch.x, PerPeer)
    assert not torch.equal(batch.x.inputs[0], batch.x.inputs[1])
    (shared,) = batches_of(training_of("mmt:own_views=false", **VIEWS).fleet, 0, 0)
    torch.testing.assert_close(shared.x, batch.x.inputs[0])


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_five_steps_of_the_mean_teacher_with_other_options(execute):
    followers = Followers(0.6)
    loss = losses(followers, 0.3, 2.0, lambda i, peers: [i])
    spec = "mmt:graph=own,weight=0.3,temperature=2,decay=0.6"
    check(training_of(spec, execute=execute, peers=2, **VIEWS), loss, after=followers.follow, steps=5)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("mmt", execute="stack", **VIEWS)


def small(**options):
    torch.manual_seed(0)
    cohort = Cohort([naive.small_net().double() for _ in range(3)], execute="stack")
    batch = Batch(torch.randn(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3, -1]))
    method = get("mmt", **options)
    return cohort, batch, method


def test_no_gradient_reaches_the_copies_and_the_optimizer_has_none_of_them():
    training = training_of("mmt", **VIEWS)
    copies = training.fleet.members[0].method.averages.cohort
    training.advance()
    assert all(p.grad is None for p in copies.parameters())
    held = {id(p) for group in training.fleet.turns[0].optimizer.param_groups for p in group["params"]}
    assert held.isdisjoint(id(p) for p in copies.parameters())
    assert copies.training  # by each batch's own statistics, as in the code of the paper


def test_an_unlabelled_sample_imitates():
    cohort, batch, method = small()
    method.prepare(cohort, batch)
    batch = replace(batch, x=Inputs(batch.x))
    with cohort.remember():
        terms = method(cohort, batch)
        z = cohort(batch.x).logits
        for name, moves in (("task", False), ("mimic", True)):
            (grad,) = torch.autograd.grad(terms[name].sum(), z, retain_graph=True)
            assert bool(grad[:, -1].any()) == moves


def test_the_ramp_is_of_the_imitation_alone():
    cohort, batch, method = small(ramp=0.5)
    method.prepare(cohort, batch)
    early, late = method(cohort, batch, progress=0.0), method(cohort, batch, progress=0.5)
    torch.testing.assert_close(early["task"], late["task"])
    torch.testing.assert_close(early["mimic"], late["mimic"] * torch.tensor(-5.0).double().exp())


@pytest.mark.parametrize("method", ["mmt", "pcl", "codistillation:burn_in=0.1,exchange_every=3", "kdcl_general"])
def test_a_run_that_was_left_ends_where_an_unbroken_one_does(method, tmp_path):
    run = Run(
        method=method,
        models=("cnn:width=4",),
        labels=60,
        batch=20,
        epochs=4,
        checkpoint_every=0,
        augment=("crop:pad=1",),
        execute="stack",
    )
    runs = [run, run.replace(seed=1)]
    list(logged(train(runs, tmp_path / "whole"), tmp_path / "whole"))
    for leave in (5, 6):  # in the middle of an epoch, and at its end
        folder = tmp_path / str(leave)
        records = logged(train(runs, folder), folder)
        for record in records:
            if record.kind == "step" and record.step == leave:
                break
        records.close()
        list(logged(resume(folder), folder))
        one, two = (checkpoint.load(checkpoint.latest(path)) for path in (tmp_path / "whole", folder))
        for a, b in ((one.peers, two.peers), (one.state, two.state)):
            assert a.keys() == b.keys()
            assert all(torch.equal(a[name], b[name]) for name in a)
        assert any(name.startswith("method.0.") for name in one.state)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="decay=1.5: give a number from 0 to 1"):
        get("mmt:decay=1.5")
    with pytest.raises(ValueError, match="weight=2: give a number from 0 to 1"):
        get("mmt:weight=2")
    with pytest.raises(ValueError, match="own_views=1: use true or false"):
        get("mmt:own_views=1")
    with pytest.raises(ValueError, match="method 'mmt' needs distorted views, and augment is empty: set it"):
        training_of("mmt")
    with pytest.raises(ValueError, match="no graph is called 'ringg'"):
        get("mmt:graph=ringg")
    cohort, batch, method = small()
    with pytest.raises(ValueError, match="call method.prepare\\(cohort, batch\\) before the first step"):
        method(cohort, batch)
