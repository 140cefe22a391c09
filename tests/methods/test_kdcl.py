"""Knowledge distillation via collaborative learning."""

import itertools

import pytest
import torch

import naive
from codistill.batch import Batch, Inputs, PerPeer
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.kdcl import held_out, mixture
from methods.side_by_side import check_seeds
from methods.three_steps import check, training_of

AUGMENT = ("crop:pad=1",)


def label_losses(z, y):
    return [-torch.log(naive.softmax(row)[label]) for row, label in zip(z, y, strict=True)]


def naive_ensemble(z, y):
    losses = [label_losses(own, y) for own in z]
    return torch.stack([z[min(range(len(z)), key=lambda i: losses[i][b])][b] for b in range(len(y))])


def minlogit_ensemble(z, y):
    rows = []
    for b, label in enumerate(y):
        rows.append(torch.stack([min(own[b][c] - own[b][label] for own in z) for c in range(z[0].shape[1])]))
    return torch.stack(rows)


def linear_ensemble(z, y):
    """Ten steps of exponentiated gradient from equal weights, the gradient by autograd."""
    mean = sum(z) / len(z)
    rate = 0.25 / float(sum((own - mean) ** 2 for own in z).mean() / len(z))
    weights = torch.full((len(z),), 1.0 / len(z), dtype=z[0].dtype)
    for _ in range(10):
        weights.requires_grad_(True)
        loss = naive.label_loss(sum(w * own for w, own in zip(weights, z, strict=True)), y)
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights = weights * torch.exp(-rate * gradient)
            weights = weights / weights.sum()
    return sum(w * own for w, own in zip(weights, z, strict=True))


ENSEMBLES = {"naive": naive_ensemble, "linear": linear_ensemble, "minlogit": minlogit_ensemble}


def outputs(nets, x):
    """Each network's logits on the view that is its own."""
    assert isinstance(x, PerPeer)
    return [net(own) for net, own in zip(nets, x.inputs, strict=True)]


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("ensemble", ["naive", "linear", "minlogit"])
def test_three_steps_on_views_of_their_own(ensemble, execute):
    def loss(nets, batch, progress, method):
        z = outputs(nets, batch.x)
        assert not any(torch.equal(a, b) for a, b in itertools.combinations(batch.x.inputs, 2))
        teacher = ENSEMBLES[ensemble]([own.detach() for own in z], batch.y)
        return sum(naive.label_loss(own, batch.y) + 2.25 * 0.5 * naive.softmax_kl(teacher, own, 1.5) for own in z)

    spec = f"kdcl:ensemble={ensemble},temperature=1.5,weight=0.5"
    check(training_of(spec, execute=execute, augment=AUGMENT), loss)


class General:
    """The general ensemble, samples and pairs one at a time."""

    def __init__(self, peers, part):
        self.peers, self.part, self.seen, self.weights = peers, part, [], None

    def __call__(self, nets, batch, progress, method):
        if progress in (0.0, 0.5):  # an epoch begins
            self.weights = self.renewed()
            self.seen = []
        z = outputs(nets, batch.x)
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
    training = training_of("kdcl:ensemble=general,held_out=0.3", execute=execute, augment=AUGMENT)
    check(training, loss, steps=5)
    assert 0.2 * 60 < loss.held_so_far * 3 / 5 < 0.4 * 60
    weights = training.fleet.members[0].method.weights
    torch.testing.assert_close(weights, loss.weights)
    assert weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert (weights - 1 / 3).abs().max() > 1e-3


@pytest.mark.parametrize("ensemble", ["naive", "linear", "minlogit", "general"])
def test_two_seeds_in_one_fleet_are_two_runs(ensemble):
    check_seeds(f"kdcl:ensemble={ensemble}", execute="stack", augment=AUGMENT)


def test_views_of_their_own_reach_each_peer_and_nobody_else():
    """A plain method beside it, in the same fleet, sees the plain batch."""
    from codistill.training.batches import draw
    from codistill.training.build import build_fleet
    from codistill.training.step import take

    training = training_of("kdcl", augment=AUGMENT, execute="stack")
    run = training.fleet.run
    fleet = build_fleet([run, run.replace(method="dml"), run.replace(method="kdcl", seed=4)])
    batches = draw(fleet.streams, fleet.members, (0, 0, 0))
    whole = batches[0].x.whole.value
    assert whole.inputs.shape == (9, 20, 1, 8, 8)
    kdcl, dml = (
        next(b for m, b in zip(fleet.members, batches, strict=True) if m.runs[0].method == n) for n in ("kdcl", "dml")
    )
    assert not torch.equal(kdcl.x.value.inputs[0], kdcl.x.value.inputs[1])
    torch.testing.assert_close(kdcl.x.value.inputs[0], dml.x.value)
    before = {i: fleet.cohort.network(i) for i in range(9)}
    expected = [torch.nn.functional.cross_entropy(before[i](whole.inputs[i]), kdcl.y) for i in range(3)]
    terms = take(fleet, 0, 0)
    torch.testing.assert_close(terms[0]["task"], torch.stack(expected))
    assert fleet.cohort.passes.forward == 9


# The ensembles ------------------------------------------------------------------------------------------------------


def logits(*shape, scale=3.0, seed=0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_linear_mixture_is_on_the_simplex_and_near_the_best(seed, scale):
    z, y = logits(2, 30, 5, scale=scale, seed=seed), torch.arange(30).remainder(5)
    z[1, torch.arange(30), y] += 0.5 * scale  # one of the two is better
    a = mixture(z, y, torch.ones_like(y))
    assert (a > 0).all()
    assert float(a.sum()) == pytest.approx(1.0)

    def loss(first):
        return float(torch.nn.functional.cross_entropy(first * z[0] + (1 - first) * z[1], y))

    grid = [loss(k / 200) for k in range(201)]
    assert loss(float(a[0])) <= loss(0.5) + 1e-9
    assert loss(float(a[0])) <= min(grid) + 0.1 * (max(grid) - min(grid))


def test_samples_that_do_not_count_do_not_move_the_mixture():
    z, y = logits(3, 8, 4), torch.arange(8).remainder(4)
    counts = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0])
    torch.testing.assert_close(mixture(z, y, counts), mixture(z[:, :5], y[:5], torch.ones(5)))


def test_the_minimal_logits_favour_the_label_less_than_any_peer():
    z, y = logits(3, 8, 4), torch.arange(8).remainder(4)
    method = get("kdcl")
    found = method._ensemble(z, y, None)
    assert (found.gather(1, y.unsqueeze(1)) == 0).all()
    p = found.softmax(-1).gather(1, y.unsqueeze(1))
    assert (p >= z.softmax(-1).gather(2, y.expand(3, -1).unsqueeze(-1)).amax(0) - 1e-12).all()


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
    method = get("kdcl:ensemble=general,held_out=0.3")
    method.prepare(cohort, batch)
    held = held_out(batch.index, 0.3)
    assert 2 < int(held.sum()) < 10
    with cohort.remember():
        terms = method(cohort, batch)
        z = cohort(x).logits
        (grad,) = torch.autograd.grad(sum(t.sum() for t in terms.values()), z)
    assert torch.equal(grad.abs().sum((0, 2)) == 0, held)


def test_state_moves_after_a_step_and_weights_at_an_epoch_s_start_alone():
    training = training_of("kdcl:ensemble=general,held_out=0.5", augment=AUGMENT)
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
    with pytest.raises(ValueError, match="ensemble='mean': choose one of naive, linear, minlogit, general"):
        get("kdcl:ensemble=mean")
    with pytest.raises(ValueError, match="held_out=1: give a number from 0.01 to 0.99"):
        get("kdcl:held_out=1")
    with pytest.raises(ValueError, match="method 'kdcl' needs distorted views, and augment is empty: set it"):
        training_of("kdcl")
    with pytest.raises(ValueError, match="method 'kdcl' learns nothing from unlabelled=5 samples: set it to 0"):
        training_of("kdcl", augment=AUGMENT, unlabelled=5)
    cohort = Cohort([naive.small_net(), naive.small_net()])
    x, y = torch.zeros(4, 1, 8, 8), torch.zeros(4).long()
    with pytest.raises(ValueError, match="task='binary': kdcl needs one label for each sample; use task='classes'"):
        get("kdcl").prepare(cohort, Batch(x, y, task="binary"))
    with pytest.raises(
        ValueError, match="ensemble='general' holds samples out by their number: give Batch\\(index=...\\)"
    ):
        get("kdcl:ensemble=general").prepare(cohort, Batch(x, y))
