"""Knowledge distillation via collaborative learning: the general ensemble."""

import pytest
import torch

import naive
from codistill.batch import Batch, Inputs
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.kdcl_general import held_out
from methods.references import check, check_seeds, training_of

AUGMENT = ("crop:pad=1",)


class General:
    """The general ensemble, samples and pairs one at a time."""

    def __init__(self, peers, part):
        self.peers, self.part, self.seen, self.weights = peers, part, [], None

    def __call__(self, nets, batch, progress, method):
        if progress in (0.0, 0.5):  # an epoch begins
            self.weights = self.renewed()
            self.seen = []
        z = [net(own) for net, own in zip(nets, batch.x.inputs, strict=True)]
        held = [(int(i) * 2654435769) % 2**32 < self.part * 2**32 for i in batch.index]
        self.held_so_far = getattr(self, "held_so_far", 0) + sum(held)
        with torch.no_grad():
            for b in [b for b, out in enumerate(held) if out]:
                y = torch.zeros_like(z[0][b])
                y[batch.y[b]] = 1.0
                self.seen.append([naive.softmax(own[b]) - y for own in z])
        kept = [b for b, out in enumerate(held) if not out]
        teacher = sum(w * own.detach()[kept] for w, own in zip(self.weights, z, strict=True))
        y = batch.y[kept]
        return sum(naive.label_loss(o[kept], y) + 4 * naive.softmax_kl(teacher, o[kept], 2.0) for o in z)

    def renewed(self):
        if not self.seen:
            return torch.full((self.peers,), 1.0 / self.peers, dtype=torch.float64)
        c = torch.zeros(self.peers, self.peers, dtype=torch.float64)
        for errors in self.seen:
            for i, a in enumerate(errors):
                for j, b in enumerate(errors):
                    c[i, j] += (a * b).sum() / len(self.seen)
        c += 1e-4 * c.diagonal().mean() * torch.eye(self.peers, dtype=torch.float64)
        w = torch.linalg.solve(c, torch.ones(self.peers, dtype=torch.float64))
        return w / w.sum()


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_five_steps_of_the_general_ensemble_whose_weights_are_renewed_each_epoch(execute):
    loss = General(3, 0.3)
    training = training_of("kdcl_general:held_out=0.3", execute=execute, augment=AUGMENT)
    check(training, loss, steps=5)
    assert 0.2 * 60 < loss.held_so_far * 3 / 5 < 0.4 * 60
    weights = training.fleet.members[0].method.weights
    torch.testing.assert_close(weights, loss.weights)
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert (weights - 1 / 3).abs().max() > 1e-3


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("kdcl_general", execute="stack", augment=AUGMENT)


def test_which_samples_are_held_out_is_spread_evenly_and_does_not_change():
    index = torch.arange(10_000)
    held = held_out(index, 0.1)
    assert int(held.sum()) == pytest.approx(1000, abs=20)
    for residue in range(10):  # in an order by class, every class
        assert 50 < int(held[residue::10].sum()) < 150
    assert torch.equal(held, held_out(index.int().long(), 0.1))


def test_held_out_samples_teach_nobody():
    torch.manual_seed(0)
    cohort = Cohort([naive.small_net().double() for _ in range(2)], execute="stack")
    x = Inputs(torch.randn(20, 1, 8, 8, dtype=torch.float64))
    batch = Batch(x, torch.arange(20).remainder(10), index=torch.arange(20))
    method = get("kdcl_general:held_out=0.3")
    method.prepare(cohort, batch)
    held = held_out(batch.index, 0.3)
    assert 2 < int(held.sum()) < 10
    with cohort.remember():
        terms = method(cohort, batch)
        z = cohort(x).logits
        (grad,) = torch.autograd.grad(sum(t.sum() for t in terms.values()), z)
    assert torch.equal(grad.abs().sum((0, 2)) == 0, held)


def test_state_moves_after_a_step_and_weights_at_an_epochs_start_alone():
    training = training_of("kdcl_general:held_out=0.5", augment=AUGMENT)
    method = training.fleet.members[0].method
    uniform = method.weights.clone()
    counts = []
    for _ in range(3):
        training.advance()
        counts.append(float(method.count))
        torch.testing.assert_close(method.weights, uniform)
    assert counts == sorted(set(counts))
    training.advance()
    assert float(method.count) < counts[-1]
    assert not torch.allclose(method.weights, uniform)
    assert {"weights", "count", "products"} <= set(method.state_dict())


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="held_out=1: give a number from 0.01 to 0.99"):
        get("kdcl_general:held_out=1")
    cohort = Cohort([naive.small_net(), naive.small_net()])
    x, y = torch.zeros(4, 1, 8, 8), torch.zeros(4).long()
    with pytest.raises(ValueError, match="holds samples out by their number: give Batch\\(index=...\\)"):
        get("kdcl_general").prepare(cohort, Batch(x, y))
