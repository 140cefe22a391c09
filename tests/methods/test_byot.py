"""Be your own teacher."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from fleet_batches import batches_of
from methods.references import check, check_seeds, cohort_of, draw, leaves, same, training_of, view

Y = torch.tensor([0, 2, 1, 2])


def shallow(f, method, s, peer):
    """Of one classifier of one peer: g and z, a sample and a unit at a time; f is [B, F, ...]."""
    pooled = [one.flatten(1).mean(1) if one.dim() > 1 else one for one in f]
    widen, bias = method.heads[s].widen[peer], method.heads[s].widen_bias[peer, 0]
    g = [
        torch.stack([torch.clamp((row * h).sum() + b, min=0.0) for row, b in zip(widen, bias, strict=True)])
        for h in pooled
    ]
    rows, bias = method.heads[s].classify[peer], method.heads[s].classify_bias[peer, 0]
    z = [torch.stack([(row * h).sum() + b for row, b in zip(rows, bias, strict=True)]) for h in g]
    return torch.stack(g), torch.stack(z)


def terms_of(z, features, last, y, method, peer, alpha=0.3, temperature=3.0, hint=0.03):
    """By term, of one network."""
    found = [shallow(f, method, s, peer) for s, f in enumerate(features)]
    return {
        "task": naive.label_loss(z, y),
        "shallow": (1 - alpha) * sum(naive.label_loss(z_s, y) for _, z_s in found),
        "mimic": alpha * temperature**2 * sum(naive.softmax_kl(z.detach(), z_s, temperature) for _, z_s in found),
        "hint": hint * sum(((g - last.detach()) ** 2).mean() for g, _ in found),
    }


@pytest.mark.parametrize("options", [{}, {"alpha": 0.6, "temperature": 2.0, "hint": 1.5}])
def test_values_and_gradients(options):
    z, h = draw(3, 1, 4, 3), draw(3, 1, 4, 5, seed=1)
    cohort, batch = cohort_of(z, h), Batch(view(0), Y)
    method = get("byot:features=stage", **options)
    method.prepare(cohort, batch)
    plain, features = leaves(z), leaves(h)
    each = [terms_of(plain[i][0], [features[i][0]], features[i][0], Y, method, i, *options.values()) for i in range(3)]
    expected = {name: [one[name] for one in each] for name in each[0]}
    wanted = torch.autograd.grad(
        torch.stack([sum(each) for each in expected.values()]).sum(), list(method.parameters()), retain_graph=True
    )
    terms = method(cohort, batch)
    found = torch.autograd.grad(sum(t.sum() for t in terms.values()), list(method.parameters()), retain_graph=True)
    torch.testing.assert_close(found, wanted)
    same(terms, expected, cohort, plain, features)


def inside(net, x):
    """Logits, what each stage gives, what goes into fc."""
    seen = {}
    for name, module in net.named_children():
        seen[f"{name}:input"], x = x, module(x)
        seen[name] = x
    return x, seen


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    def loss(nets, batch, progress, method):
        total = 0.0
        for i, net in enumerate(nets):
            z, seen = inside(net, batch.x)
            terms = terms_of(z, [seen["stage1"], seen["stage2"]], seen["fc:input"], batch.y, method, i)
            total = total + sum(terms.values())
        return total

    check(training_of("byot", execute=execute), loss)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("byot", execute="stack")


def test_nothing_that_is_imitated_is_moved_by_it():
    for name in ("mimic", "hint"):
        training = training_of("byot")
        fleet = training.fleet
        method, cohort = fleet.members[0].method, fleet.cohort
        method(fleet.members[0].view, batches_of(fleet, 0, 0)[0])[name].sum().backward()
        for i in range(3):
            net = cohort.network(i)
            moved = {
                n for n, p in net.named_children() if any(q.grad is not None and q.grad.any() for q in p.parameters())
            }
            assert moved == {"stage1", "stage2"}


def test_classifiers_are_the_methods_and_the_network_stays_what_it_was():
    training = training_of("byot")
    method = training.fleet.members[0].method
    before = [p.detach().clone() for p in method.parameters()]
    assert len(before) == 8
    training.advance()
    assert not any(torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))
    assert training.fleet.cohort.peer_state(0).keys() == training_of("alone").fleet.cohort.peer_state(0).keys()


def test_an_unlabelled_sample_imitates():
    training = training_of("byot", unlabelled=10)
    assert batches_of(training.fleet, 0, 0)[0].y[-1] == -1
    (terms,) = training.advance()
    assert all(t.isfinite().all() and t.shape == (3,) for t in terms.values())


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="alpha=2: give a number from 0 to 1"):
        get("byot:alpha=2")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("byot:temperature=0")
    with pytest.raises(ValueError, match="hint=-1: give a number at least 0"):
        get("byot:hint=-1")
    with pytest.raises(ValueError, match="features='/': give each name once, joined by /, as stage1/stage2"):
        get("byot:features=/")
    with pytest.raises(ValueError, match="features='.*' are .* wide in these peers"):
        training_of("byot", models=("cnn:width=2", "cnn:width=3", "cnn:width=2"))
    with pytest.raises(ValueError, match="this method has parameters of its own; use update='together'"):
        training_of("byot", update="in_turn")
    with pytest.raises(ValueError, match="call method.prepare\\(cohort, batch\\) before the first step"):
        get("byot")(cohort_of(draw(1, 1, 4, 3)), Batch(view(0), Y))
    with pytest.raises(ValueError, match="task='tokens': method 'byot' is for task='classes' or"):
        get("byot")(cohort_of(draw(1, 1, 4, 3)), Batch(view(0), Y, task="tokens"))
