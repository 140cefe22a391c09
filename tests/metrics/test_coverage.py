"""AURC against its definition, one coverage after the other."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from codistill.metrics.calibration import aurc


def naive(logits, labels):
    """The k most confident for k = 1..N; of equally confident ones every one counts with their mean error."""
    scored = []
    for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
        e = [math.exp(v - max(z)) for v in z]
        scored.append((max(e) / sum(e), float(z.index(max(z)) != y)))
    same = {c: [w for d, w in scored if d == c] for c, _ in scored}
    wrong = [sum(same[c]) / len(same[c]) for c, _ in sorted(scored, key=lambda pair: -pair[0])]
    return sum(sum(wrong[:k]) / k for k in range(1, len(wrong) + 1)) / len(wrong)


def test_by_hand():
    # Confidence falls from first to last; right, wrong, right: errors 0/1, 1/2, 1/3.
    logits = torch.tensor([[3.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    assert aurc(logits, torch.tensor([0, 1, 0])).item() == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    # The same errors with the least confidence cost less, with the most confidence more.
    assert aurc(logits, torch.tensor([0, 0, 1])).item() == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert aurc(logits, torch.tensor([1, 0, 0])).item() == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert aurc(logits, torch.tensor([0, 0, 0])).item() == 0.0


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(1, 25), st.integers(2, 5), st.integers(0, 1000), st.booleans())
def test_it_is_the_naive_one_with_ties_too(n, classes, seed, coarse):
    source = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=source, dtype=torch.float64)
    logits = logits[torch.randint(3, (n,), generator=source) % n] if coarse else logits  # many equally confident
    labels = torch.randint(classes, (n,), generator=source)
    assert aurc(logits, labels).item() == pytest.approx(naive(logits, labels), abs=1e-9)


def test_the_order_of_the_examples_changes_nothing():
    source = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(40, 3, generator=source).round(), torch.randint(3, (40,), generator=source)
    order = torch.randperm(40, generator=source)
    assert aurc(logits[order], labels[order]).item() == pytest.approx(aurc(logits, labels).item(), abs=1e-6)


def test_leading_dims_stay_and_nan_is_nan():
    source = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(2, 3, 9, 4, generator=source), torch.randint(4, (9,), generator=source)
    logits[1, 2, 0, 0] = torch.nan
    got = aurc(logits, labels)
    assert got.shape == (2, 3)
    assert got.isnan().nonzero().tolist() == [[1, 2]]
    assert got[0, 1].item() == pytest.approx(naive(logits[0, 1], labels), abs=1e-6)
    assert aurc(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)).isnan()


def test_labels_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="do not fit"):
        aurc(torch.zeros(3, 2), torch.zeros(4, dtype=torch.long))
