"""Outputs collected from a cohort at once, against a plain loop over its networks."""

import math

import pytest
import torch
from torch import nn

import naive
from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.evaluate import collect, measure, rows


@pytest.fixture
def nets():
    torch.manual_seed(0)
    nets = [naive.small_net(4) for _ in range(3)]
    for net in nets:  # statistics that are not those of a fresh network
        for _ in range(5):
            net(torch.randn(8, 1, 6, 6) * 3 + 1)
    return nets


@pytest.fixture
def images():
    return torch.randn(23, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    return torch.randint(4, (23,), generator=torch.Generator().manual_seed(2))


def posteriors(net, images):
    """Softmax by hand, one image after the other."""
    net.eval()
    found = []
    with torch.no_grad():
        for image in images:
            e = [math.exp(v) for v in net(image[None])[0].tolist()]
            found.append([v / sum(e) for v in e])
    return found


def expected(p, labels):
    """Accuracy, NLL, Brier score and entropy, by their definitions."""
    n = len(labels)
    hits = sum(row.index(max(row)) == y for row, y in zip(p, labels.tolist(), strict=True))
    nll = sum(-math.log(row[y]) for row, y in zip(p, labels.tolist(), strict=True))
    brier = sum(sum((v - (c == y)) ** 2 for c, v in enumerate(row)) for row, y in zip(p, labels.tolist(), strict=True))
    entropy = sum(-sum(v * math.log(v) for v in row) for row in p)
    return {"accuracy": hits / n, "nll": nll / n, "brier": brier / n, "entropy": entropy / n}


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_every_network_measures_as_it_does_by_itself(execute, nets, images, labels):
    cohort = Cohort(nets, execute=execute)
    found = measure(collect(cohort, images.split(10)), labels)
    for net, row in zip(nets, found, strict=True):
        for name, value in expected(posteriors(net, images), labels).items():
            assert row[name] == pytest.approx(value, abs=1e-5), name


def test_an_ensemble_is_the_mean_posterior_of_the_first_networks(nets, images, labels):
    each = [posteriors(net, images) for net in nets]
    found = rows(collect(Cohort(nets), [images]), labels, {"method": "alone"})
    assert [(r["peer"], r["networks"]) for r in found] == [(0, 1), (1, 1), (2, 1), (None, 2), (None, 3)]
    for row in found[3:]:
        k = row["networks"]
        mean = [[sum(p[i][c] for p in each[:k]) / k for c in range(4)] for i in range(len(images))]
        for name, value in expected(mean, labels).items():
            assert row[name] == pytest.approx(value, abs=1e-5), name
        assert row["nll"] < sum(r["nll"] for r in found[:k]) / k  # by convexity; so not the mean of the rows


def test_rows_say_what_they_are_about(nets, images, labels):
    found = rows(collect(Cohort(nets), [images]), labels, {"method": "alone", "seed": 3, "part": "valid"})
    assert all(r["method"] == "alone" and r["seed"] == 3 and r["part"] == "valid" and r["n"] == 23 for r in found)
    assert len(rows(collect(Cohort(nets[:1]), [images]), labels, {})) == 1


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("training", [True, False])
def test_collecting_leaves_mode_and_statistics_alone(training, execute, nets, images):
    cohort = Cohort(nets, execute=execute).train(training)
    before = [{n: t.clone() for n, t in cohort.peer_state(i).items()} for i in range(3)]
    logits = collect(cohort, [images])
    assert not logits.requires_grad
    assert cohort.training is training
    assert all(m.training is training for m in cohort.modules())
    for i in range(3):
        assert all(torch.equal(t, before[i][n]) for n, t in cohort.peer_state(i).items())


def test_the_mode_is_put_back_when_a_network_fails(images):
    cohort = Cohort([nn.Sequential(nn.Flatten(), nn.Linear(7, 4))]).train()
    with pytest.raises(RuntimeError):
        collect(cohort, [images])
    assert cohort.training


def test_dropout_is_off(images):
    torch.manual_seed(0)
    cohort = Cohort([nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(36, 4))]).train()
    assert torch.equal(collect(cohort, [images]), collect(cohort, [images]))


def test_a_view_gives_its_own_peers_and_peers_may_have_inputs_of_their_own(nets, images):
    cohort = Cohort(nets, execute="stack")
    each = collect(cohort, [images])
    torch.testing.assert_close(collect(cohort[[2, 0]], [images]), each[[2, 0]], rtol=1e-5, atol=1e-6)
    own = torch.stack([images, images.flip(0), images])
    torch.testing.assert_close(collect(cohort, [PerPeer(own)])[1], each[1].flip(0), rtol=1e-5, atol=1e-6)
