"""One network and unlabelled samples: own pseudo labels and the mean teacher, beside plain loops."""

import copy
import math

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from methods.references import check, check_seeds, cohort_of, draw, leaves, same, training_of, view

Y = torch.tensor([0, 2, -1, -1, -1, 1])


def pseudo(z, y, threshold):
    """CE of own argmax over the unlabelled samples where the own posterior is sure, divided by all of them."""
    unlabelled = [b for b in range(len(y)) if y[b] < 0]
    total = 0.0 * z.sum()
    for b in unlabelled:
        p = torch.softmax(z[b].detach(), -1)
        if p.max() >= threshold:
            total = total - torch.log_softmax(z[b], -1)[p.argmax()]
    return total / max(len(unlabelled), 1)


@pytest.mark.parametrize("threshold", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_values_and_gradients_of_pseudo_labels(threshold, weight):
    z = draw(3, 1, 6, 3)
    cohort, plain = cohort_of(z), leaves(z)
    expected = {
        "task": [naive.label_loss(one[0][Y >= 0], Y[Y >= 0]) for one in plain],
        "pseudo": [weight * pseudo(one[0], Y, threshold) for one in plain],
    }
    same(
        get("pseudo", select=f"confident:{threshold}", weight=weight)(cohort, Batch(view(0), Y)),
        expected,
        cohort,
        plain,
    )


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_of_pseudo_labels(execute):
    def loss(nets, batch, progress, method):
        rise = 0.0 if progress < 0.25 else math.exp(-5 * (1 - min(1.0, (progress - 0.25) / 0.5)) ** 2)
        known, total = batch.y >= 0, 0.0
        for net in nets:
            z = net(batch.x)
            total = total + naive.label_loss(z[known], batch.y[known]) + rise * pseudo(z, batch.y, 0.2)
        return total

    check(training_of("pseudo:select=confident:0.2,burn_in=0.25,ramp=0.5", execute=execute, unlabelled=30), loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_of_the_mean_teacher(execute):
    averages, steps = [], []

    def loss(nets, batch, progress, method):
        averages.extend(copy.deepcopy(nets) if not averages else [])
        known, total = batch.y >= 0, 0.0
        for net, average in zip(nets, averages, strict=True):
            z = net(batch.x)
            q = naive.without_statistics(average.train(), batch.x)
            total = total + naive.label_loss(z[known], batch.y[known])
            total = total + 2.0 * naive.softmax_kl(q[~known], z[~known])
        return total

    def after(nets, batch, progress, method):
        decay = min(1 - 1 / (len(steps) + 1), 0.6)
        steps.append(decay)
        with torch.no_grad():
            for net, average in zip(nets, averages, strict=True):
                for a, p in zip(average.parameters(), net.parameters(), strict=True):
                    a.mul_(decay).add_(p, alpha=1 - decay)

    training = training_of("mean_teacher:weight=2,decay=0.6,on=unlabelled", execute=execute, unlabelled=30)
    check(training, loss, after=after)


@pytest.mark.parametrize("name", ["pseudo:select=confident:0.3", "mean_teacher"])
def test_two_seeds_in_one_fleet_are_two_runs(name):
    check_seeds(name, execute="stack", unlabelled=30)
