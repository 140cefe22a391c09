"""Deep mutual learning where each peer has an augmentation of its own of the same samples."""

import pytest
import torch

import naive
from codistill.batch import PerPeer
from fleet_batches import batches_of
from methods.references import BASE, check, check_seeds, training_of

SETTINGS = {"own_views": True, "augment": ("crop:pad=1", "flip")}


def loss(nets, batch, progress, method):
    assert isinstance(batch.x, PerPeer)
    z = [net(x) for net, x in zip(nets, batch.x.inputs, strict=True)]
    y = batch.y if batch.y.dim() == 1 else batch.y[0]
    return sum(naive.label_loss(one, y) + naive.dml_loss(k, z) for k, one in enumerate(z))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    check(training_of("dml", execute=execute, **SETTINGS), loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_with_unlabelled_samples(execute):
    def semi(nets, batch, progress, method):
        z = [net(x) for net, x in zip(nets, batch.x.inputs, strict=True)]
        y = batch.y if batch.y.dim() == 1 else batch.y[0]
        return sum(naive.label_loss(one[y >= 0], y[y >= 0]) + naive.dml_loss(k, z) for k, one in enumerate(z))

    check(training_of("dml", execute=execute, unlabelled=10, **SETTINGS), semi)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("dml", execute="stack", **SETTINGS)


def test_each_peer_sees_the_same_samples_distorted_in_its_own_way():
    fleet = training_of("dml", own_views=True, augment=("flip",)).fleet
    plain = training_of("dml").fleet
    differ = 0
    for step in range(fleet.steps):
        (batch,) = batches_of(fleet, 0, step)
        (as_it_is,) = batches_of(plain, 0, step)
        assert batch.x.inputs.shape == (3, *as_it_is.x.shape)
        assert torch.equal(batch.index, as_it_is.index)
        assert torch.equal(batch.y, as_it_is.y)
        flipped = as_it_is.x.flip(-1)
        which = []
        for own in batch.x.inputs:
            same, mirrored = ((own == other).flatten(1).all(1) for other in (as_it_is.x, flipped))
            assert (same | mirrored).all()
            which.append(mirrored & ~same)
        differ += sum(int((which[i] != which[j]).sum()) for i, j in ((0, 1), (1, 2), (0, 2)))
    assert differ > 3 * 60 * 0.3  # of 180 pairs about half


def test_the_first_peers_view_is_everybodys_without_own_views():
    own = batches_of(training_of("dml", **SETTINGS).fleet, 0, 1)[0]
    shared = batches_of(training_of("dml", augment=SETTINGS["augment"]).fleet, 0, 1)[0]
    assert torch.equal(own.x.inputs[0], shared.x)
    assert not torch.equal(own.x.inputs[1], shared.x)


@pytest.mark.parametrize("update", ["in_turn", "fresh_batch"])
def test_peers_that_take_turns_keep_their_views(update):
    ends = []
    for execute in ("loop", "stack"):
        training = training_of("dml", update=update, execute=execute, **SETTINGS)
        for _ in range(2):
            terms = training.advance()
        ends.append((terms[0], [training.fleet.cohort.peer_state(i) for i in range(3)]))
    torch.testing.assert_close(ends[0][0], ends[1][0], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(ends[0][1], ends[1][1], rtol=1e-7, atol=1e-9)


def test_own_views_without_an_augmentation_are_refused():
    with pytest.raises(ValueError, match="needs distorted views, and augment is empty"):
        training_of("dml", own_views=True)
    assert BASE.augment == ()
