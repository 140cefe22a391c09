import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from codistill.losses.posterior import log_posterior
from codistill.metrics.calibration import brier, ece, nll, reliability


def drawn(seed: int, *shape: int, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(*shape, generator=generator, dtype=dtype)
    return logits, torch.randint(shape[-1], (shape[-2],), generator=generator)


def softmax(row):
    highest = max(row)
    powers = [math.exp(value - highest) for value in row]
    return [power / sum(powers) for power in powers]


def naive_nll(logits, labels):
    pairs = list(zip(logits.tolist(), labels.tolist(), strict=True))
    return -sum(math.log(softmax(row)[y]) for row, y in pairs) / len(pairs)


def naive_brier(logits, labels):
    pairs = list(zip(logits.tolist(), labels.tolist(), strict=True))
    return sum(sum((p - (m == y)) ** 2 for m, p in enumerate(softmax(row))) for row, y in pairs) / len(pairs)


def naive_ece(logits, labels, bins):
    inside = [[] for _ in range(bins)]
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        p = softmax(row)
        confidence = max(p)
        place = next(b for b in range(bins) if b / bins < confidence <= (b + 1) / bins or b == bins - 1)
        inside[place].append((confidence, p.index(confidence) == y))
    error = 0.0
    for held in filter(None, inside):
        accuracy = sum(right for _, right in held) / len(held)
        confidence = sum(c for c, _ in held) / len(held)
        error += abs(accuracy - confidence) * len(held) / len(labels)
    return error


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_equal_loops_and_keep_leading_dims(dtype, near):
    logits, labels = drawn(0, 2, 3, 50, 5, dtype=dtype)
    cases = [(nll, naive_nll), (brier, naive_brier), (ece, lambda z, y: naive_ece(z, y, 15))]
    for metric, naive in cases:
        got = metric(logits, labels)
        assert got.shape == (2, 3)
        assert got.dtype == dtype
        expected = torch.tensor([[naive(logits[i, j], labels) for j in range(3)] for i in range(2)], dtype=dtype)
        torch.testing.assert_close(got, expected, rtol=near, atol=near)


def test_equal_scikit_learn():
    logits, labels = drawn(1, 200, 4)
    p = logits.softmax(-1).numpy()
    assert nll(logits, labels).item() == pytest.approx(log_loss(labels, p, labels=range(4)))
    expected = sum(brier_score_loss(labels == k, p[:, k]) for k in range(4))
    assert brier(logits, labels).item() == pytest.approx(expected)


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 5), bins=st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_properties(seed, classes, bins):
    logits, labels = drawn(seed, 23, classes)
    error = ece(logits, labels, bins).item()
    assert error == pytest.approx(naive_ece(logits, labels, bins))
    assert 0 <= error <= 1
    # coarser bins let gaps cancel, so splitting every bin in two cannot lower the error
    assert ece(logits, labels, 2 * bins).item() >= error - 1e-12
    assert 0 <= brier(logits, labels).item() <= 2
    assert nll(logits, labels).item() >= 0
    for metric in (nll, brier, ece):
        shift = torch.randn(23, 1, dtype=torch.float64)
        torch.testing.assert_close(metric(logits + shift, labels), metric(logits, labels))


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin():
    # 0.5 lies in (0, 0.5] together with nothing else; were it in (0.5, 1], the two gaps would cancel
    logits = torch.tensor([[0.5, 0.5], [0.75, 0.25]], dtype=torch.float64).log()
    labels = torch.tensor([0, 1])  # gaps +0.5 and -0.75
    assert ece(logits, labels, bins=2).item() == pytest.approx((0.5 + 0.75) / 2)


def test_a_sure_and_right_network_has_no_error_and_a_sure_and_wrong_one_has_all():
    logits = 1000 * torch.eye(3)
    for metric, worst in ((ece, 1.0), (brier, 2.0), (nll, 1000.0)):
        assert metric(logits, torch.arange(3)).item() == 0
        assert metric(logits, torch.tensor([1, 2, 0])).item() == pytest.approx(worst)


def test_bfloat16_is_computed_in_float32():
    logits, labels = drawn(2, 30, 4, dtype=torch.bfloat16)
    for metric in (nll, brier, ece):
        assert metric(logits, labels).dtype == torch.float32
        torch.testing.assert_close(metric(logits, labels), metric(logits.float(), labels))


def test_nan_stays_nan():
    logits, labels = drawn(3, 2, 10, 3)
    logits[1, 4, 0] = float("nan")
    for metric in (nll, brier, ece):
        assert metric(logits, labels).isnan().tolist() == [False, True]


def test_one_logit_goes_through_its_two_class_posterior():
    z, labels = torch.tensor([[0.3], [-2.0], [1.0]]), torch.tensor([1, 0, 0])
    two = log_posterior(z, task="binary").squeeze(-2)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z.squeeze(-1), labels.float())
    torch.testing.assert_close(nll(two, labels), expected)
    with pytest.raises(ValueError, match="binary"):
        nll(z, labels * 0)


def test_what_does_not_fit_is_refused():
    logits, labels = drawn(4, 4, 3)
    for metric in (nll, brier, ece):
        with pytest.raises(ValueError, match="do not fit"):
            metric(logits, labels[:1])
        with pytest.raises(ValueError, match="unlabelled"):
            metric(logits, torch.tensor([0, 1, -1, 2]))
    with pytest.raises(ValueError, match="bins=0"):
        ece(logits, labels, bins=0)


def test_reliability_counts_what_lies_in_each_bin():
    logits, labels = drawn(3, 2, 200, 4)
    found = reliability(logits, labels, 10)
    for peer in range(2):
        expected = [[0.0, 0.0, 0.0] for _ in range(10)]
        for row, y in zip(logits[peer].tolist(), labels.tolist(), strict=True):
            p = softmax(row)
            place = next(b for b in range(10) if b / 10 < max(p) <= (b + 1) / 10)
            for i, value in enumerate((1.0, max(p), float(p.index(max(p)) == y))):
                expected[place][i] += value
        torch.testing.assert_close(found[peer], torch.tensor(expected, dtype=torch.float64))
    n, confidence, right = found.unbind(-1)
    torch.testing.assert_close((right - confidence).abs().sum(-1) / n.sum(-1), ece(logits, labels, 10))
    with pytest.raises(ValueError, match="bins=0"):
        reliability(logits, labels, 0)
