"""Self-distillation guided by data distortion."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from codistill.training.build import build_fleet
from codistill.training.state import Training
from fleet_batches import batches_of
from methods.references import BASE, check, check_seeds, cohort_of, draw, leaves, same, training_of, view

Y = torch.tensor([0, 2, 1, 2])
BATCH = Batch(view(0), Y, views=(view(1),))
CROP = ("crop:pad=1",)


def discrepancy(f, g):
    """|| mean f - mean g ||^2 of [B, F, ...], positions averaged first."""
    f, g = ([one.flatten(1).mean(1) if one.dim() > 1 else one for one in h] for h in (f, g))
    gap = sum(f) / len(f) - sum(g) / len(g)
    return sum(value**2 for value in gap)


def terms_of(z, h, y, w=1.0, m=5e-4, temperature=3.0, scaled=True, detach=True):
    """By term, of one network: z and h hold both views."""
    (a, b), factor = z, temperature**2 if scaled else 1.0
    target_a, target_b = (a.detach(), b.detach()) if detach else (a, b)
    both = naive.softmax_kl(target_a, b, temperature) + naive.softmax_kl(target_b, a, temperature)
    return {
        "task": naive.label_loss(a, y) + naive.label_loss(b, y),
        "mimic": w * factor * both,
        "mmd": m * discrepancy(*h),
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"weight": 0.5, "mmd": 2.0, "temperature": 2.0}, {"scaled": False}, {"detach": False}],
    ids=["defaults", "options", "without T^2", "without detach"],
)
@pytest.mark.parametrize("shape", [(5,), (5, 2, 2)], ids=["flat", "maps"])
def test_values_and_gradients(options, shape):
    z, h = draw(3, 2, 4, 3), draw(3, 2, 4, *shape, seed=1)
    cohort, method = cohort_of(z, h), get("ddgsd", **options)
    method.prepare(cohort, BATCH)
    plain, features = leaves(z), leaves(h)
    names = {"weight": "w", "mmd": "m"}
    settings = {names.get(k, k): v for k, v in options.items()}
    each = [terms_of(a, b, Y, **settings) for a, b in zip(plain, features, strict=True)]
    expected = {name: [one[name] for one in each] for name in each[0]}
    same(method(cohort, BATCH), expected, cohort, plain, features)


def test_t_squared_is_a_factor_of_nine():
    cohort = cohort_of(draw(2, 2, 4, 3))
    values = [get(f"ddgsd:mmd=0,scaled={scaled}")(cohort, BATCH)["mimic"] for scaled in ("true", "false")]
    torch.testing.assert_close(values[0], 9.0 * values[1])


def test_without_detach_each_view_also_moves_towards_what_imitates_it():
    grads = []
    for detach in ("true", "false"):
        cohort = cohort_of(draw(1, 2, 4, 3))
        get(f"ddgsd:mmd=0,detach={detach}")(cohort, BATCH)["mimic"].sum().backward()
        grads.append(cohort.network(0).z.grad)
    assert not torch.allclose(*grads)


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ({"weight": 0.0, "mmd": 0.0}, {"task"}),
        ({"mmd": 0.0}, {"task", "mimic"}),
        ({"weight": 0.0}, {"task", "mmd"}),
    ],
)
def test_terms_can_be_left_out(options, terms):
    cohort, method = cohort_of(draw(2, 2, 4, 3)), get("ddgsd", **options)
    method.prepare(cohort, BATCH)
    assert method(cohort, BATCH).keys() == terms
    assert bool(cohort.taps) == ("mmd" in terms)


def pooled(net, x):
    """Logits, and what goes into fc."""
    for name, module in net.named_children():
        feature, x = x if name == "fc" else None, module(x)
    return x, feature


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    def loss(nets, batch, progress, method):
        total = 0.0
        for net in nets:
            (a, f), (b, g) = pooled(net, batch.x), pooled(net, batch.views[0])
            total = total + sum(terms_of((a, b), (f, g), batch.y).values())
        return total

    check(training_of("ddgsd", execute=execute, augment=CROP), loss)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("ddgsd", execute="stack", augment=CROP)


@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
def test_both_views_move_the_batch_statistics(update):
    training = training_of("ddgsd", augment=CROP, update=update)
    training.advance()
    for i in range(3):
        assert int(training.fleet.cohort.peer_state(i)["stage1.bn.num_batches_tracked"]) == 2


def test_beside_another_method_in_one_stack_it_ends_where_it_ends_alone():
    run = BASE.replace(augment=CROP, execute="stack")
    runs = [run.replace(method="alone"), run.replace(method="ddgsd")]
    both = Training(build_fleet(runs), None)
    single = Training(build_fleet(runs[1:]), None)
    for training in (both, single):
        for _ in range(3):
            training.advance()
    for i in range(3):
        torch.testing.assert_close(
            both.fleet.cohort.peer_state(3 + i), single.fleet.cohort.peer_state(i), rtol=1e-7, atol=1e-9
        )
        assert int(both.fleet.cohort.peer_state(i)["stage1.bn.num_batches_tracked"]) == 3


def test_networks_may_be_unlike():
    models = ("cnn:width=2", "cnn:width=3", "cnn:width=2")
    training = training_of("ddgsd:mmd=1", augment=CROP, models=models)
    batch = batches_of(training.fleet, 0, 0)[0]
    nets = [training.fleet.cohort.network(i) for i in range(3)]
    expected = torch.stack([discrepancy(pooled(n, batch.x)[1], pooled(n, batch.views[0])[1]) for n in nets])
    (terms,) = training.advance()
    torch.testing.assert_close(terms["mmd"], expected.detach())


@pytest.mark.parametrize("settings", [{"own_views": True}, {"own_views": True, "shards": True}, {"shards": True}])
def test_the_second_view_is_never_the_first_again(settings):
    training = training_of("ddgsd", augment=CROP, **settings)
    batch = batches_of(training.fleet, 0, 0)[0]
    own, other = batch.x.inputs, batch.views[0]
    others = other.expand(3, *other.shape) if isinstance(other, torch.Tensor) else other.inputs
    assert not any(torch.equal(own[i], others[i]) for i in range(3))
    training.advance()


def test_a_masked_sample_counts_in_no_term():
    z, h = draw(2, 2, 4, 3), draw(2, 2, 4, 5, seed=1)
    mask, kept = torch.tensor([1, 0, 1, 1]), torch.tensor([0, 2, 3])
    method = get("ddgsd:mmd=1")
    found = []
    for batch, rows in ((Batch(view(0), Y, views=(view(1),), mask=mask), slice(None)), (BATCH, kept)):
        cohort = cohort_of(z[:, :, rows], h[:, :, rows])
        method.prepare(cohort, batch)
        batch = batch if batch.mask is not None else Batch(view(0), Y[kept], views=(view(1),))
        found.append(method(cohort, batch))
    torch.testing.assert_close(*found)


def test_what_cannot_be_is_said():
    for option in ("weight", "mmd"):
        with pytest.raises(ValueError, match=f"{option}=-1: give a number at least 0"):
            get(f"ddgsd:{option}=-1")
    for option in ("scaled", "detach"):
        with pytest.raises(ValueError, match=f"{option}=1: use true or false"):
            get(f"ddgsd:{option}=1")
    with pytest.raises(ValueError, match="needs distorted views, and augment is empty: set it"):
        training_of("ddgsd")
    with pytest.raises(ValueError, match="views=0 besides x: ddgsd compares two views"):
        get("ddgsd")(cohort_of(draw(1, 2, 4, 3)), Batch(view(0), Y))
    with pytest.raises(ValueError, match="no submodule of Sequential is called 'fd': did you mean 'fc'"):
        training_of("ddgsd:features=fd", augment=CROP).advance()
