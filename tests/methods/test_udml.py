"""Unified deep mutual learning."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from methods.references import check, check_seeds, cohort_of, draw, leaves, same, training_of, view

Y = torch.tensor([0, 2, 1, 2])
EDGES = [(i, j) for i in range(3) for j in range(3) if i != j]


def square(f, g):
    """Mean over samples and elements, a number at a time."""
    pairs = list(zip(f.flatten(), g.flatten(), strict=True))
    return sum((a - b) ** 2 for a, b in pairs) / len(pairs)


def connected(f, weight, bias):
    """A 1x1 convolution by sums over channels: f [B, C, ...]."""
    maps = [sum(weight[o, c] * f[:, c] for c in range(f.shape[1])) + bias[o] for o in range(len(weight))]
    return torch.stack(maps, 1)


def terms_of(z, f, y, w=1.0, v=1.0, connectors=None):
    """By term, of each peer; connectors {(i, j): (weight, bias)}."""
    feature = []
    for i in range(len(z)):
        total = 0.0
        for j in range(len(z)):
            if i != j:
                own = connected(f[i], *connectors[i, j]) if connectors and (i, j) in connectors else f[i]
                total = total + square(own, f[j].detach())
        feature.append(v * total / (len(z) - 1))
    return {
        "task": [naive.label_loss(own, y) for own in z],
        "mimic": [w * naive.dml_loss(i, z) for i in range(len(z))],
        "feature": feature,
    }


def learnt(method):
    """{(i, j): (weight, bias)} of the edges that have a connector."""
    modules = method.losses[0].connectors
    return {e: (m.weight[0], m.bias[0]) for e, m in zip(EDGES, modules, strict=True) if hasattr(m, "weight")}


@pytest.mark.parametrize("options", [{}, {"weight": 0.5, "feature_weight": 3.0}])
def test_values_and_gradients(options):
    z, h = draw(3, 1, 4, 3), draw(3, 1, 4, 2, 3, 3, seed=1)
    cohort, batch = cohort_of(z, h), Batch(view(0), Y)
    method = get("udml:features=stage", **options)
    method.prepare(cohort, batch)
    assert not list(method.parameters())
    plain, maps = leaves(z), leaves(h)
    expected = terms_of([one[0] for one in plain], [one[0] for one in maps], Y, *options.values())
    same(method(cohort, batch), expected, cohort, plain, maps)


def test_values_and_gradients_where_channels_differ():
    z = draw(3, 1, 4, 3)
    h = [draw(1, 4, channels, 2, 2, seed=channels) for channels in (2, 3, 2)]
    cohort, batch = cohort_of(z, h), Batch(view(0), Y)
    method = get("udml:features=stage")
    method.prepare(cohort, batch)
    own = learnt(method)
    assert set(own) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    copies = {edge: tuple(p.detach().clone().requires_grad_() for p in both) for edge, both in own.items()}
    plain, maps = leaves(z), leaves(h)
    expected = terms_of([one[0] for one in plain], [one[0] for one in maps], Y, connectors=copies)
    same(method(cohort, batch), expected, cohort, plain, maps)
    for edge, module in zip(EDGES, method.losses[0].connectors, strict=True):
        if edge in own:
            torch.testing.assert_close(module.weight.grad[0], copies[edge][0].grad)
            torch.testing.assert_close(module.bias.grad[0], copies[edge][1].grad)


def test_the_symmetric_form_is_the_joint_loss_of_paddle_in_which_nothing_is_detached():
    """CE_1 + CE_2 + (KL(p_1 || p_2) + KL(p_2 || p_1)) / 2 + mean (f_1 - f_2)^2, and its gradient."""
    z, h = draw(2, 1, 4, 3), draw(2, 1, 4, 2, seed=1)
    cohort, batch = cohort_of(z, h), Batch(view(0), Y)
    method = get("udml:features=stage,divergence=symmetric_kl")
    method.prepare(cohort, batch)
    sum(map(torch.sum, method(cohort, batch).values())).backward()
    (a, b), (f, g) = plain, maps = leaves(z), leaves(h)
    both = 0.5 * (naive.softmax_kl(a[0], b[0]) + naive.softmax_kl(b[0], a[0]))
    (naive.label_loss(a[0], Y) + naive.label_loss(b[0], Y) + both + square(f[0], g[0])).backward()
    for i in range(2):
        torch.testing.assert_close(cohort.network(i).z.grad, plain[i].grad)
        torch.testing.assert_close(cohort.network(i).h.grad, maps[i].grad)


def stage3(net, x):
    """Logits, and what the third stage gives."""
    for name, module in net.named_children():
        x = module(x)
        if name == "stage3":
            feature = x
    return x, feature


def total(nets, batch, progress, method):
    z, f = zip(*[stage3(net, batch.x) for net in nets], strict=True)
    return sum(
        map(sum, terms_of(z, f, batch.y, connectors=learnt(method) if list(method.parameters()) else None).values())
    )


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    check(training_of("udml", execute=execute, labels=20, batch=10, epochs=3), total)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_of_unlike_networks_and_their_connectors(execute):
    models = ("cnn:width=2", "cnn:width=3", "cnn:width=2")
    training = training_of("udml", execute=execute, models=models, labels=20, batch=10, epochs=3)
    assert len(list(training.fleet.members[0].method.parameters())) == 8
    check(training, total)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("udml", execute="stack")


def test_no_peer_is_moved_by_those_that_imitate_it():
    for name in ("mimic", "feature"):
        h = [draw(1, 4, channels, seed=channels) for channels in (2, 3)]
        cohort, batch = cohort_of(draw(2, 1, 4, 3), h), Batch(view(0), Y)
        method = get("udml:features=fc:input")
        method.prepare(cohort, batch)
        method(cohort, batch)[name][0].backward()
        moved = [any(p.grad is not None and bool(p.grad.any()) for p in cohort.network(i).parameters()) for i in (0, 1)]
        assert moved == [True, False]


def test_what_cannot_be_is_said():
    for option in ("weight", "feature_weight"):
        with pytest.raises(ValueError, match=f"{option}=-1: give a number at least 0"):
            get(f"udml:{option}=-1")
    with pytest.raises(ValueError, match="no submodule of Sequential is called 'stage4': did you mean"):
        training_of("udml:features=stage4")
    with pytest.raises(ValueError, match="call method.prepare\\(cohort, batch\\) before the first step"):
        get("udml")(cohort_of(draw(2, 1, 4, 3)), Batch(view(0), Y))
    with pytest.raises(ValueError, match="this method has parameters of its own; use update='together'"):
        training_of("udml", models=("cnn:width=2", "cnn:width=3", "cnn:width=2"), update="in_turn")
    with pytest.raises(ValueError, match="peers=1: 'udml' has nobody to learn from"):
        training_of("udml", peers=1)
