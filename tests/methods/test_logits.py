"""Regression of logits."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import IdenticalPeers, get
from codistill.training.initial_weights import teacher_networks
from methods.references import check, check_seeds, teacher_folder, training_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"), peers=2, models=("cnn:width=6",))


def regression(targets, z, y, weight=0.1):
    total = 0.0
    for target in targets:
        for own, theirs in zip(z, target, strict=True):
            total = total + sum((own[c] - theirs[c]) ** 2 for c in range(10)) / 10
    return naive.label_loss(z, y) + weight * total / (len(z) * len(targets))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_from_frozen_teachers(folder, execute):
    training = training_of("logits:teacher=t", execute=execute, teacher=folder)
    fleet = training.fleet
    teachers = [net.double().eval() for net in teacher_networks(folder, fleet.run, fleet.dataset)]

    def loss(nets, batch, progress, method):
        targets = [net(batch.x).detach() for net in teachers]
        return sum(regression(targets, net(batch.x), batch.y) for net in nets)

    check(training, loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_between_peers(execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        others = [[o.detach() for j, o in enumerate(z) if j != i] for i in range(3)]
        return sum(regression(others[i], z[i], batch.y, weight=2.0) for i in range(3))

    check(training_of("logits:teacher=none,weight=2", execute=execute), loss)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds("logits:teacher=none", execute="stack")
    check_seeds(f"logits:teacher={folder}", execute="loop", steps=2)


def small(count=2, classes=10):
    torch.manual_seed(classes)
    return Cohort([naive.small_net(classes).double() for _ in range(count)])


def test_the_mean_is_over_classes_and_not_their_sum():
    students, teacher = small(1), small(1)
    batch = Batch(torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6))
    with torch.no_grad():
        for p in teacher.network(0)[-1].parameters():
            p.zero_()
    z = students(batch.x).logits
    terms = get("logits", teacher=teacher.freeze())(students, batch)
    torch.testing.assert_close(terms["mimic"], 0.1 * (z**2).mean().view(1))


def test_a_masked_sample_is_left_out_and_an_unlabelled_one_imitates():
    cohort, y = small(), torch.tensor([0, 1, 2, -1, -1, -1])
    x = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    z = cohort(x).logits.detach()
    mask = torch.tensor([1, 1, 1, 1, 0, 0])
    terms = get("logits:teacher=none")(cohort, Batch(x, y, mask=mask))
    expected = 0.1 * ((z[0] - z[1])[:4] ** 2).mean()
    torch.testing.assert_close(terms["mimic"], expected.expand(2))


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="target=hard: SquaredLogits from one class alone is infinite"):
        get("logits:teacher=none,target=hard")
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("logits:teacher=none,weight=-1")
    with pytest.raises(
        ValueError, match="method 'logits' needs teacher: give it a run's folder, or none for the peers"
    ):
        get("logits")
    with pytest.raises(
        ValueError,
        match=r"teacher is a Cohort that still learns: give a frozen cohort \(cohort.frozen\(\)\), a folder, or none",
    ):
        get("logits", teacher=small())


def test_a_teacher_of_other_classes_is_refused():
    students, batch = small(2), Batch(torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6))
    with pytest.raises(ValueError, match="students have 10 classes and their sources 7: .* build them for the same"):
        get("logits", teacher=small(2, classes=7).freeze())(students, batch)


def test_peers_that_start_alike_are_warned_of():
    cohort, batch = small(2), Batch(torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6))
    cohort.network(1).load_state_dict(cohort.network(0).state_dict())
    with pytest.warns(IdenticalPeers, match="peers 1 and 0 start with identical weights"):
        get("logits:teacher=none")(cohort, batch)
    get("logits", teacher=small(2).freeze())(cohort, batch)
