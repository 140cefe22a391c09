"""Outputs collected from a cohort at once, against a plain loop over its networks."""

import json
import math

import pytest
import torch
from sklearn.metrics import average_precision_score, top_k_accuracy_score
from torch import nn

import naive
from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.cohort.collection import collect, collect_embeddings
from codistill.training.results import Origin, PairsResult, measure_networks, measure_pairs, rows_of

ORIGIN = Origin(method="alone", seed=3, part="valid", n=23)


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
    measured = []
    with torch.no_grad():
        for image in images:
            e = [math.exp(v) for v in net(image[None])[0].tolist()]
            measured.append([v / sum(e) for v in e])
    return measured


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
    measured = measure_networks(collect(cohort, images.split(10)), labels)
    for net, row in zip(nets, measured, strict=True):
        for name, value in expected(posteriors(net, images), labels).items():
            assert row[name] == pytest.approx(value, abs=1e-5), name


def test_an_ensemble_is_the_mean_posterior_of_the_first_networks(nets, images, labels):
    each = [posteriors(net, images) for net in nets]
    *measured, pairs = rows_of(collect(Cohort(nets), [images]), labels, ORIGIN)
    assert isinstance(pairs, PairsResult)
    assert [(r.peer, r.networks) for r in measured] == [(0, 1), (1, 1), (2, 1), (None, 2), (None, 3)]
    for row in measured[3:]:
        k = row.networks
        mean = [[sum(p[i][c] for p in each[:k]) / k for c in range(4)] for i in range(len(images))]
        for name, value in expected(mean, labels).items():
            assert row.values[name] == pytest.approx(value, abs=1e-5), name
        assert (
            row.values["nll"] < sum(r.values["nll"] for r in measured[:k]) / k
        )  # by convexity; so not the mean of the rows


def test_rows_say_what_they_are_about(nets, images, labels):
    rows = rows_of(collect(Cohort(nets), [images]), labels, ORIGIN)
    assert all((r.method, r.seed, r.part, r.n) == ("alone", 3, "valid", 23) for r in rows)
    assert len(rows_of(collect(Cohort(nets[:1]), [images]), labels, ORIGIN)) == 1


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


# Every task -----------------------------------------------------------------------------------------------------------


def binary_rows(z, y):
    """Of one network, from the probabilities of class 1, by definition."""
    p = [1 / (1 + math.exp(-v)) for v in z]
    hits = [(q > 0.5) == t for q, t in zip(p, y, strict=True)]
    tp = sum(q > 0.5 and t for q, t in zip(p, y, strict=True))
    n = len(y)
    return {
        "accuracy": sum(hits) / n,
        "nll": sum(-math.log(q if t else 1 - q) for q, t in zip(p, y, strict=True)) / n,
        "brier": sum(2 * (q - t) ** 2 for q, t in zip(p, y, strict=True)) / n,
        "f1": 2 * tp / (sum(q > 0.5 for q in p) + sum(y)),
    }


def test_one_logit_is_the_choice_between_two_classes():
    source = torch.Generator().manual_seed(4)
    z, y = torch.randn(2, 40, 1, generator=source), torch.randint(2, (40,), generator=source)
    one = measure_networks(z, y, "binary")
    for peer, row in enumerate(one):
        for name, value in binary_rows(z[peer, :, 0].tolist(), y.tolist()).items():
            assert row[name] == pytest.approx(value, abs=1e-6), name
        assert "top5" not in row
    two = torch.cat([torch.zeros_like(z), z], -1)
    both = measure_networks(two, y)  # the same network, as two classes
    for row, other in zip(one, both, strict=True):
        assert row == pytest.approx(other, abs=1e-6)
    with pytest.raises(ValueError, match="task='binary' with 2 logits.*classes=1.*task='classes'"):
        measure_networks(two, y, "binary")
    together = rows_of(z, y, ORIGIN, "binary")[2].values
    p = torch.sigmoid(z).mean(0)[:, 0]
    assert together["accuracy"] == pytest.approx(((p > 0.5) == y.bool()).double().mean().item())
    assert together["nll"] == pytest.approx(torch.nn.functional.binary_cross_entropy(p, y.float()).item(), abs=1e-6)


def test_of_several_labels_every_known_decision_counts():
    source = torch.Generator().manual_seed(5)
    z, y = torch.randn(2, 30, 3, generator=source), torch.randint(-1, 2, (30, 3), generator=source)
    for peer, row in enumerate(measure_networks(z, y, "multilabel")):
        known = [
            (v, t) for vs, ts in zip(z[peer].tolist(), y.tolist(), strict=True) for v, t in zip(vs, ts, strict=True)
        ]
        expected = binary_rows(*zip(*[(v, t) for v, t in known if t >= 0], strict=True))
        assert row["f1_micro"] == pytest.approx(expected.pop("f1"), abs=1e-6)
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, abs=1e-6), name
        each = [average_precision_score(y[:, c][y[:, c] >= 0], z[peer, :, c][y[:, c] >= 0]) for c in range(3)]
        assert row["map"] == pytest.approx(sum(each) / 3)
    *measured, _ = rows_of(z, y, ORIGIN, "multilabel")
    assert [(r.peer, r.networks) for r in measured] == [(0, 1), (1, 1), (None, 2)]
    odds = torch.logit(torch.sigmoid(z.double()).mean(0))  # of the mean posterior
    each = [average_precision_score(y[:, c][y[:, c] >= 0], odds[:, c][y[:, c] >= 0]) for c in range(3)]
    assert measured[2].values["map"] == pytest.approx(sum(each) / 3)
    assert "map" not in measure_networks(z, y.clamp(max=0), "multilabel")[0]  # nobody has a label: nothing to find


def test_of_tokens_those_without_a_label_are_left_out():
    source = torch.Generator().manual_seed(6)
    z, y = torch.randn(2, 5, 7, 6, generator=source), torch.randint(-1, 6, (5, 7), generator=source)
    expected = measure_networks(z.flatten(1, 2)[:, (y >= 0).flatten()], y[y >= 0])
    assert measure_networks(z, y, "tokens") == expected


def test_top_5_where_there_are_more_classes_than_that():
    source = torch.Generator().manual_seed(7)
    z, y = torch.randn(1, 50, 6, generator=source), torch.randint(6, (50,), generator=source)
    (row,) = measure_networks(z, y)
    assert row["top5"] == pytest.approx(top_k_accuracy_score(y, z[0], k=5))
    assert "f1" not in row
    assert "top5" not in measure_networks(z[..., :5], y.clamp(max=4))[0]


def test_pairs_are_matrices_that_json_can_hold(nets, images, labels):
    logits = collect(Cohort(nets), [images])
    logits[2] = 9.0 * torch.nn.functional.one_hot(labels, 4)  # never errs, so its errors correlate with nobody's
    measured = measure_pairs(logits, labels)
    assert measured["error_correlation"][2] == [None] * 3
    p = logits.double().softmax(-1)
    for i in range(3):
        for j in range(3):
            kl = (p[j] * (p[j] / p[i]).log()).sum(-1).mean().item()
            assert measured["kl"][i][j] == pytest.approx(kl, rel=1e-4, abs=1e-6)
            same = (logits[i].argmax(-1) == logits[j].argmax(-1)).double().mean().item()
            assert measured["agreement"][i][j] == pytest.approx(same)
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured


# Features -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_features_are_what_goes_into_the_last_layer(execute, nets, images):
    cohort = Cohort(nets, execute=execute).train()
    cohort.tap("5:input")  # a method's own tap stays
    measured = collect_embeddings(cohort, images.split(10), "5:input")
    for net, features in zip(nets, measured, strict=True):
        net.eval()
        torch.testing.assert_close(features, net[:5](images).detach(), rtol=1e-5, atol=1e-5)
    assert [list(taps) for taps in cohort.taps.values()] == [["5:input"]] * len(nets)
    assert cohort.training
    assert collect_embeddings(cohort, [images], "0")[0].shape == (23, 4 * 36)  # flat, whatever it was
    assert [list(taps) for taps in cohort.taps.values()] == [["5:input"]] * len(nets)


def test_peers_may_have_features_of_other_lengths(images):
    torch.manual_seed(1)
    cohort = Cohort([nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.Linear(width, 3)) for width in (5, 8)])
    assert [f.shape for f in collect_embeddings(cohort, images.split(10), "2:input")] == [(23, 5), (23, 8)]
