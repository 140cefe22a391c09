"""Class-wise self-distillation."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from fleet_batches import batches_of
from methods.references import check, check_seeds, cohort_of, draw, leaves, same, training_of, view

Y = torch.tensor([0, 2, 1, 2])


def terms_of(z, partner, y, w=1.0, temperature=4.0):
    """By term, of one network; the partner's logits are only imitated."""
    mimic = w * temperature**2 * naive.softmax_kl(partner.detach(), z, temperature)
    return {"task": naive.label_loss(z, y), "mimic": mimic}


@pytest.mark.parametrize("options", [{}, {"weight": 3.0, "temperature": 2.0}])
def test_values_and_gradients(options):
    z = draw(3, 2, 4, 3)
    cohort = cohort_of(z)
    plain = leaves(z)
    each = [terms_of(own, partner, Y, *options.values()) for own, partner in plain]
    terms = get("cskd", **options)(cohort, Batch(view(0), Y, partner=view(1)))
    same(terms, {name: [one[name] for one in each] for name in each[0]}, cohort, plain)
    assert not any(net.z.grad[1].any() for net in map(cohort.network, range(3)))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    def loss(nets, batch, progress, method):
        total = 0.0
        for net in nets:
            partner = naive.without_statistics(net, batch.partner)
            total = total + sum(terms_of(net(batch.x), partner, batch.y).values())
        return total

    check(training_of("cskd", execute=execute, augment=("crop:pad=1",)), loss)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("cskd", execute="stack")


@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
def test_only_x_moves_the_batch_statistics(update):
    training = training_of("cskd", update=update)
    training.advance()
    for i in range(3):
        assert int(training.fleet.cohort.peer_state(i)["stage1.bn.num_batches_tracked"]) == 1


def test_partners_are_of_the_same_class():
    fleet = training_of("cskd", labels=30, batch=30).fleet
    (member,), batch = fleet.members, batches_of(fleet, 0, 0)[0]
    assert member.method.needs.partners
    examples = {x.numpy().tobytes(): int(y) for x, y in zip(batch.x, batch.y, strict=True)}  # the whole training set
    assert [examples[x.numpy().tobytes()] for x in batch.partner] == batch.y.tolist()


def test_peers_may_have_samples_of_their_own():
    training_of("cskd", shards=True, labels=90, batch=15).advance()


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("cskd:weight=-1")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("cskd:temperature=0")
    with pytest.raises(ValueError, match="partner=None: cskd needs another sample of each one's class"):
        get("cskd")(cohort_of(draw(1, 1, 4, 3)), Batch(view(0), Y))
    with pytest.raises(ValueError, match="needs partners of the same class, which unlabelled samples have not"):
        training_of("cskd", unlabelled=10)
