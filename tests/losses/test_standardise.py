"""Standardised logits."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

import naive
from codistill.losses.standardise import standardise


def drawn(seed, *shape, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def z_scores(row):
    mean = sum(row) / len(row)
    std = torch.sqrt(sum((x - mean) ** 2 for x in row) / (len(row) - 1))
    return torch.stack([(x - mean) / (std + 1e-7) for x in row])


def test_values_and_gradients_are_the_naive_ones():
    z = drawn(0, 2, 3, 5).requires_grad_()
    got, expected = standardise(z), torch.stack([z_scores(row) for row in z.flatten(0, 1)]).view(2, 3, 5)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    weights = drawn(1, 2, 3, 5)
    one, two = (naive.gradients(v * weights, z)[0] for v in (got, expected))
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 50.0), shift=st.floats(-20.0, 20.0))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_scale_and_shift_are_gone_and_the_order_is_not(seed, factor, shift):
    z = drawn(seed, 2, 6)
    got = standardise(z)
    torch.testing.assert_close(standardise(factor * z + shift), got, rtol=1e-5, atol=1e-6)
    assert torch.equal(got.argsort(-1), z.argsort(-1))
    assert got.mean(-1).abs().max() < 1e-9
    torch.testing.assert_close(got.std(-1), torch.ones(2, dtype=torch.float64), rtol=1e-4, atol=1e-5)


def test_logits_that_are_all_alike_are_zero_with_a_gradient_of_its_usual_size():
    z = torch.zeros(2, 5, dtype=torch.float64, requires_grad=True)
    got = standardise(z)
    assert got.abs().max() == 0.0
    assert naive.gradients(got * drawn(2, 2, 5), z)[0].abs().max() < 10.0


def test_half_precision_becomes_float32():
    z = drawn(3, 2, 5).bfloat16()
    assert standardise(z).dtype == torch.float32
    torch.testing.assert_close(standardise(z), standardise(z.float()))


def test_one_logit_is_refused():
    with pytest.raises(ValueError, match="one logit per sample has no spread over classes"):
        standardise(torch.zeros(3, 1))


def test_two_classes_are_a_sign():
    got = standardise(torch.tensor([[3.0, -2.0]], dtype=torch.float64))
    torch.testing.assert_close(got, torch.tensor([[1.0, -1.0]], dtype=torch.float64) / math.sqrt(2), rtol=1e-6, atol=0)
