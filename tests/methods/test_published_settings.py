"""Published steps that are settings of a method here: three steps of each beside the paper's, written out plainly."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from codistill.batch import PerPeer
from methods.references import check, training_of

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
LABELLED, UNLABELLED = slice(None, 10), slice(10, None)
SETTINGS = {"peers": 2, "batch": 10, "unlabelled": 10}
CPS = "dml:target=hard,weight=2"
COTRAINING = "dml:divergence=js,on=unlabelled"
FEDMD = "dml:divergence=squared_logits,graph=everyone,on=unlabelled"
FIXMATCH = "dml:target=hard,select=confident:0.95,on=unlabelled"


def compare(spec, step, **settings):
    """Three steps, as loops and stacked; ``step(z, y)`` of the logits of all networks is what the paper minimises."""

    def loss(nets, batch, progress, method):
        x = list(batch.x.inputs) if isinstance(batch.x, PerPeer) else [batch.x] * len(nets)
        y = list(batch.y) if batch.y.dim() == 2 else [batch.y] * len(nets)
        return step([net(own) for net, own in zip(nets, x, strict=True)], y)

    for execute in ("loop", "stack"):
        check(training_of(spec, execute=execute, **{**SETTINGS, **settings}), loss)


def supervised(z, y):
    return sum(F.cross_entropy(own[LABELLED], labels[LABELLED]) for own, labels in zip(z, y, strict=True))


@pytest.mark.parametrize("spec", [CPS, COTRAINING, FEDMD, FIXMATCH])
def test_the_page_has_the_setting(spec):
    assert f"`{spec}`" in PAGE.read_text(encoding="utf-8")


def test_cross_pseudo_supervision():
    """Chen et al. 2021: L_s + lambda (L_cps on labelled + L_cps on unlabelled), each a mean of its own; lambda = 1."""

    def step(z, y):
        first, second = z
        total = supervised(z, y)
        for part in (LABELLED, UNLABELLED):
            total = total + F.cross_entropy(first[part], second[part].argmax(-1))
            total = total + F.cross_entropy(second[part], first[part].argmax(-1))
        return total

    compare(CPS, step)


def test_deep_co_training():
    """Qiao et al. 2018, without adversarial examples: one Jensen-Shannon divergence, in which nothing is detached."""

    def entropy(p):
        return -(p * p.log()).sum(-1)

    def step(z, y):
        p, q = (own[UNLABELLED].softmax(-1) for own in z)
        return supervised(z, y) + (entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2).mean()

    compare(COTRAINING, step)


def test_fedmd_with_squared_differences():
    """Li and Wang 2019: each party approaches the mean logits of all on common samples, and learns its own labels."""

    def step(z, y):
        consensus = sum(own.detach()[UNLABELLED] for own in z) / len(z)
        return supervised(z, y) + sum((own[UNLABELLED] - consensus).square().mean() for own in z)

    compare(FEDMD, step, peers=3, shards="equal")


def test_fixmatch_with_peers():
    """Sohn et al. 2020, the label from the other network's view; the threshold is one that untrained networks pass."""
    passed = []

    def step(z, y):
        total = supervised(z, y)
        for own, other in (z, z[::-1]):
            q, label = other.detach()[UNLABELLED].softmax(-1).max(-1)
            passed.append((q >= 0.15).double().mean())
            total = total + ((q >= 0.15) * F.cross_entropy(own[UNLABELLED], label, reduction="none")).mean()
        return total

    compare(FIXMATCH.replace("0.95", "0.15"), step, own_views=True, augment=("crop:pad=1",))
    assert 0 < torch.stack(passed).mean() < 1
