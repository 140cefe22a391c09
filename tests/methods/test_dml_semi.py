"""Deep mutual learning with labelled and unlabelled samples."""

import copy
import math

import pytest
import torch

import naive
import small_nets
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from fleet_batches import batches_of
from methods.references import check, check_seeds, training_of

LABELLED, UNLABELLED = 20, 30
SETTINGS = {"unlabelled": UNLABELLED}


def weighted(z, i, weights, temperature=1.0):
    """1/(P-1) sum over the others of KL, a weighted mean over samples."""
    others = [one.detach() for j, one in enumerate(z) if j != i]
    total = 0.0
    for b, weight in enumerate(weights):
        row = slice(b, b + 1)
        total = total + weight * sum(naive.softmax_kl(o[row], z[i][row], temperature) for o in others) / len(others)
    return total / sum(weights)


def semi_loss(z, y, weight=1.0, unlabelled=1.0):
    """Of all networks: CE over the labelled samples, KL over all, each over its own count."""
    weights = [1.0 if label >= 0 else unlabelled for label in y.tolist()]
    known = y >= 0
    total = 0.0
    for i in range(len(z)):
        if known.any():
            total = total + naive.label_loss(z[i][known], y[known])
        total = total + weight * weighted(z, i, weights)
    return total


# The streams --------------------------------------------------------------------------------------------------------


def test_a_batch_has_labelled_samples_then_unlabelled_ones_of_streams_of_their_own():
    fleet = training_of("dml", **SETTINGS).fleet
    parts = fleet.streams.parts[0]
    assert fleet.steps == 60 // LABELLED  # an epoch is one of the labelled samples
    seen = {"labelled": [], "unlabelled": []}
    for step in range(2 * fleet.steps):
        (batch,) = batches_of(fleet, *divmod(step, fleet.steps))
        assert batch.x.shape[0] == LABELLED + UNLABELLED
        assert (batch.y[:LABELLED] >= 0).all()
        assert (batch.y[LABELLED:] == -1).all()
        labelled, unlabelled = batch.index[:LABELLED], batch.index[LABELLED:] - len(parts.train)
        torch.testing.assert_close(batch.y[:LABELLED], parts.train.y[labelled])
        seen["labelled"] += labelled.tolist()
        seen["unlabelled"] += unlabelled.tolist()
    assert sorted(seen["labelled"]) == sorted([*range(60)] * 2)
    assert len(set(seen["unlabelled"])) == 6 * UNLABELLED  # goes on where the last epoch of the labelled ones stopped
    assert max(seen["unlabelled"]) < len(parts.unlabelled)


def test_no_sample_is_in_both_streams():
    parts = training_of("dml", **SETTINGS).fleet.streams.parts[0]
    assert len(parts.train) == 60
    labelled = {row.numpy().tobytes() for row in parts.train.x}
    assert not labelled & {row.numpy().tobytes() for row in parts.unlabelled.x}


# Steps --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    def loss(nets, batch, progress, method):
        return semi_loss([net(batch.x) for net in nets], batch.y)

    check(training_of("dml", execute=execute, **SETTINGS), loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_where_the_term_rises_and_unlabelled_samples_count_less(execute):
    def loss(nets, batch, progress, method):
        risen = math.exp(-5 * (1 - progress / 0.4) ** 2) if progress < 0.4 else 1.0
        return semi_loss([net(batch.x) for net in nets], batch.y, 2.0 * risen, 0.5)

    training = training_of("dml:weight=2,unlabelled_weight=0.5,ramp=0.4", execute=execute, **SETTINGS)
    assert [step / training.fleet.total < 0.4 for step in range(4)] == [True, True, True, False]
    check(training, loss, steps=4)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_of_the_ensemble_teacher(execute):
    def loss(nets, batch, progress, method):
        z, known = [net(batch.x) for net in nets], batch.y >= 0
        total = 0.0
        for i in range(3):
            teacher = sum(o.detach().softmax(-1) for j, o in enumerate(z) if j != i) / 2
            mimic = (teacher * (teacher.log() - z[i].log_softmax(-1))).sum(-1).mean()
            total = total + naive.label_loss(z[i][known], batch.y[known]) + mimic
        return total

    check(training_of("dml_ensemble", execute=execute, **SETTINGS), loss)


@pytest.mark.parametrize("spec", ["dml:unlabelled_weight=0.5,ramp=0.5", "dml_ensemble"])
def test_two_seeds_in_one_fleet_are_two_runs(spec):
    check_seeds(spec, execute="stack", **SETTINGS)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_two_steps_in_turn(execute):
    training = training_of("dml:unlabelled_weight=0.5", execute=execute, update="in_turn", **SETTINGS)
    fleet = training.fleet
    nets = [copy.deepcopy(fleet.cohort.network(i)).train() for i in range(3)]
    optimizers = naive.sgd(nets, 0.1)
    for step in range(2):
        (batch,) = batches_of(fleet, 0, step)
        weights = [1.0] * LABELLED + [0.5] * UNLABELLED
        latest = [naive.without_statistics(net, batch.x) for net in nets]
        for i, (net, optimizer) in enumerate(zip(nets, optimizers, strict=True)):
            own = net(batch.x)
            z = [*latest[:i], own, *latest[i + 1 :]]
            loss = naive.label_loss(own[:LABELLED], batch.y[:LABELLED]) + weighted(z, i, weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            latest[i] = naive.without_statistics(net, batch.x)
        training.advance()
    for i, net in enumerate(nets):
        torch.testing.assert_close(fleet.cohort.peer_state(i), dict(net.state_dict()), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_a_step_on_a_batch_without_labels(execute):
    nets, x = small_nets.several("ccc"), small_nets.images(6)
    y = torch.full((6,), -1)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    terms = get("dml:unlabelled_weight=0.3")(cohort, Batch(x, y))
    assert terms["task"].tolist() == [0.0, 0.0, 0.0]
    sum(t.sum() for t in terms.values()).backward()
    torch.optim.SGD(cohort.parameters(), lr=0.1).step()
    semi_loss([net(x) for net in nets], y, unlabelled=0.3).backward()  # a mean over its own count: 0.3 cancels out
    for i, net in enumerate(nets):
        torch.optim.SGD(net.parameters(), lr=0.1).step()
        torch.testing.assert_close(cohort.peer_state(i), dict(net.state_dict()), rtol=1e-9, atol=1e-12)


def test_unlabelled_samples_that_do_not_count_are_as_if_not_there():
    # but for batch statistics, which these networks do not have
    torch.manual_seed(0)
    nets = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)).double() for _ in range(2)]
    x, y = small_nets.images(6), torch.tensor([0, 1, 2, -1, -1, -1])
    got = get("dml:unlabelled_weight=0")(Cohort(nets), Batch(x, y))
    torch.testing.assert_close(got, get("dml")(Cohort(nets), Batch(x[:3], y[:3])))
    nothing = get("dml:unlabelled_weight=0")(Cohort(nets), Batch(x[3:], y[3:]))
    assert nothing["mimic"].tolist() == [0.0, 0.0]
    sum(t.sum() for t in nothing.values()).backward()


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="unlabelled=5000: only .* examples are left without a label"):
        training_of("dml", unlabelled=5000)
    with pytest.raises(ValueError, match="learns nothing from unlabelled=30 samples"):
        training_of("alone", **SETTINGS)
