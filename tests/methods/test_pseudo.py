"""Networks that label unlabelled samples for themselves: by their own predictions, or by those of their average."""

import math

import pytest
from torch.nn import functional as F

import naive
from codistill.methods import get
from methods.references import check, check_seeds, training_of
from methods.test_mmt import Followers

SETTINGS = {"batch": 10, "unlabelled": 10}
PRIVATE = {**SETTINGS, "shards": "equal"}


def parts(batch, i):
    """Inputs and labels of network i."""
    return (batch.x.inputs[i], batch.y[i]) if batch.y.dim() == 2 else (batch.x, batch.y)


@pytest.mark.parametrize("settings", [SETTINGS, PRIVATE], ids=["common", "private"])
@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("threshold", [0.0, 0.15])
def test_three_steps_of_own_pseudo_labels(threshold, execute, settings):
    kept = []

    def loss(nets, batch, progress, method):
        total = 0.0
        for i, net in enumerate(nets):
            x, y = parts(batch, i)
            z = net(x)
            p, label = z[y < 0].detach().softmax(-1).max(-1)
            kept.append((p >= threshold).double().mean())
            own = ((p >= threshold) * F.cross_entropy(z[y < 0], label, reduction="none")).mean()
            total = total + naive.label_loss(z[y >= 0], y[y >= 0])
            total = total + 0.5 * math.exp(-5 * (1 - min(progress / 0.2, 1)) ** 2) * own
        return total

    spec = f"pseudo:weight=0.5,ramp=0.2,select=confident:{threshold}"
    check(training_of(spec, execute=execute, **settings), loss)
    assert (sum(kept) / len(kept) < 1) == (threshold > 0)


@pytest.mark.parametrize("settings", [SETTINGS, PRIVATE], ids=["common", "private"])
@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_four_steps_of_the_mean_teacher(execute, settings):
    averages = Followers(0.5)

    def loss(nets, batch, progress, method):
        past, total = averages(nets, [parts(batch, i)[0] for i in range(len(nets))]), 0.0
        for i, net in enumerate(nets):
            x, y = parts(batch, i)
            z = net(x)
            total = total + naive.label_loss(z[y >= 0], y[y >= 0]) + 2.0 * naive.softmax_kl(past[i], z)
        return total

    training = training_of("mean_teacher:weight=2,decay=0.5", execute=execute, **settings)
    check(training, loss, after=averages.follow, steps=4)


@pytest.mark.parametrize("settings", [SETTINGS, PRIVATE], ids=["common", "private"])
@pytest.mark.parametrize("name", ["pseudo", "mean_teacher"])
def test_two_seeds_in_one_fleet_are_two_runs(name, settings):
    check_seeds(name, execute="stack", **settings)


def test_what_cannot_be_is_said():
    for spec in ("pseudo", "dml:on=unlabelled"):
        with pytest.raises(ValueError, match="imitates on unlabelled samples, and there are none: set unlabelled"):
            training_of(spec)
    with pytest.raises(ValueError, match="select=small_loss judges by labels.*set on=labelled"):
        get("pseudo:select=small_loss")
    with pytest.raises(ValueError, match="divergence"):
        get("mean_teacher:target=hard,divergence=reverse_kl")
