"""Knowledge distillation via collaborative learning."""

import itertools

import pytest
import torch

import naive
from codistill.batch import Batch, PerPeer
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.kdcl import minlogit, mixture
from methods.references import check, check_seeds, training_of

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


@pytest.mark.parametrize("ensemble", ["naive", "linear", "minlogit"])
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
        next(b for m, b in zip(fleet.members, batches, strict=True) if m.runs[0].method.name == n)
        for n in ("kdcl", "dml")
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


def test_the_linear_mixture_is_as_far_from_the_best_as_its_docstring_says():
    """The least cross-entropy by the same steps until nothing improves: the problem is convex, so its gap bounds it."""
    ours, equal = [], []
    for scale, peers, seed in itertools.product((1.0, 3.0), (2, 3, 4), range(10)):
        generator = torch.Generator().manual_seed(seed)
        z = scale * torch.randn(peers, 64, 10, generator=generator, dtype=torch.float64)
        y = torch.randint(10, (64,), generator=generator)
        score = torch.zeros(peers, dtype=torch.float64)
        for _ in range(3000):
            weights = score.softmax(0).requires_grad_()
            least = torch.nn.functional.cross_entropy(torch.einsum("p,pbc->bc", weights, z), y)
            (gradient,) = torch.autograd.grad(least, weights)
            if float(weights.detach() @ gradient - gradient.min()) < 1e-6:  # an upper bound of its distance
                break
            score = score - 2.0 / scale**2 * gradient
        else:
            pytest.fail("not converged")
        for gaps, a in ((ours, mixture(z, y, torch.ones_like(y))), (equal, torch.full_like(score, 1 / peers))):
            loss = torch.nn.functional.cross_entropy(torch.einsum("p,pbc->bc", a, z), y)
            gaps.append(float(loss / least.detach() - 1))
    assert sum(ours) / 60 == pytest.approx(0.0012, abs=5e-5)
    assert max(ours) == pytest.approx(0.0054, abs=5e-5)
    assert sum(equal) / 60 == pytest.approx(0.0073, abs=5e-5)


def test_samples_that_do_not_count_do_not_move_the_mixture():
    z, y = logits(3, 8, 4), torch.arange(8).remainder(4)
    counts = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0])
    torch.testing.assert_close(mixture(z, y, counts), mixture(z[:, :5], y[:5], torch.ones(5)))


def test_the_minimal_logits_favour_the_label_less_than_any_peer():
    z, y = logits(3, 8, 4), torch.arange(8).remainder(4)
    found = minlogit(z, y, torch.ones_like(y))
    assert (found.gather(1, y.unsqueeze(1)) == 0).all()
    p = found.softmax(-1).gather(1, y.unsqueeze(1))
    assert (p >= z.softmax(-1).gather(2, y.expand(3, -1).unsqueeze(-1)).amax(0) - 1e-12).all()


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="ensemble='mean': choose one of naive, linear, minlogit"):
        get("kdcl:ensemble=mean")
    with pytest.raises(ValueError, match="ensemble='general' is a method of its own: use kdcl_general"):
        get("kdcl:ensemble=general")
    with pytest.raises(ValueError, match="method 'kdcl' needs distorted views, and augment is empty: set it"):
        training_of("kdcl")
    with pytest.raises(ValueError, match="method 'kdcl' learns nothing from unlabelled=5 samples: set it to 0"):
        training_of("kdcl", augment=AUGMENT, unlabelled=5)
    cohort = Cohort([naive.small_net(), naive.small_net()])
    x, y = torch.zeros(4, 1, 8, 8), torch.zeros(4).long()
    with pytest.raises(ValueError, match="task='binary': method 'kdcl' is for task='classes'"):
        get("kdcl")(cohort, Batch(x, y, task="binary"))
