"""The maximum mean discrepancy, a sample and a number at a time."""

import torch

from codistill.losses.features.mmd import mmd


def by_loops(a, b, mask):
    """Of one peer: a, b [B, F]."""
    kept = [i for i in range(len(a)) if mask is None or mask[i]]
    total = 0.0
    for f in range(a.shape[1]):
        gap = sum(a[i, f] for i in kept) / max(len(kept), 1) - sum(b[i, f] for i in kept) / max(len(kept), 1)
        total = total + gap**2
    return total


def test_it_is_the_square_of_the_distance_of_the_means():
    torch.manual_seed(0)
    a, b = (torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    one, each = torch.rand(5) > 0.4, torch.rand(3, 5) > 0.4
    for mask in (None, one, each):
        values = mmd(a, b, mask)
        rows = [None] * 3 if mask is None else mask.expand(3, 5)
        expected = torch.stack([by_loops(a[p], b[p], rows[p]) for p in range(3)])
        torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)
        for got, wanted in zip(
            torch.autograd.grad(values.sum(), (a, b)), torch.autograd.grad(expected.sum(), (a, b)), strict=True
        ):
            torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


def test_it_compares_means_and_not_samples():
    a = torch.tensor([[[1.0, 0.0], [3.0, 4.0]]])
    assert mmd(a, a.flip(1)).item() == 0.0
    assert mmd(a, torch.zeros_like(a)).item() == 2.0**2 + 2.0**2


def test_what_is_masked_may_be_anything():
    a, b = torch.ones(2, 3, 2), torch.zeros(2, 3, 2)
    a[:, 1] = torch.inf
    assert mmd(a, b, torch.tensor([1, 0, 1])).tolist() == [2.0, 2.0]
    assert mmd(a, b, torch.zeros(3)).tolist() == [0.0, 0.0]
