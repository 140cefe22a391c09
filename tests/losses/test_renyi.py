"""The Renyi divergence."""

import itertools

import pytest
import torch
from hypothesis import given, settings, strategies as st

import naive
from codistill.losses import divergences
from codistill.losses.divergences.kl import kl, reverse_kl
from codistill.losses.divergences.renyi import Renyi

quick = settings(derandomize=True, deadline=None, max_examples=25)
ORDERS = [0.25, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0]


def drawn(seed, *shape, scale=1.5):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def order(alpha, q, p):
    """Of two distributions [C]."""
    if alpha == 1.0:
        return naive.divergence("kl", q, p)
    return torch.log(sum(q[m] ** alpha * p[m] ** (1 - alpha) for m in range(len(q)))) / (alpha - 1)


@pytest.mark.parametrize("task", ["classes", "binary", "multilabel", "tokens"])
@pytest.mark.parametrize("alpha", ORDERS)
def test_values_and_gradients_are_the_naive_ones(alpha, task):
    shape = {"classes": (2, 3, 4), "binary": (2, 3, 1), "multilabel": (2, 3, 4), "tokens": (2, 3, 2, 4)}[task]
    student, source = drawn(0, *shape).requires_grad_(), drawn(1, *shape)
    got = Renyi(alpha)(students=student, sources=source, task=task, temperature=2.0)
    values = []
    for q, p in zip(source.reshape(-1, shape[-1]), student.reshape(-1, shape[-1]), strict=True):
        if task in ("classes", "tokens"):
            values.append(4 * order(alpha, naive.softmax(q, 2.0), naive.softmax(p, 2.0)))
        else:
            each = zip(q, p, strict=True)
            values.append(4 * sum(order(alpha, naive.bernoulli(a, 2.0), naive.bernoulli(b, 2.0)) for a, b in each))
    expected = torch.stack(values).view(shape[:-1])
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    one, two = (naive.gradients(v, student)[0] for v in (got, expected))
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


def test_order_one_is_kl_and_orders_near_it_are_near_it():
    student, source = drawn(2, 1, 5, 4), drawn(3, 1, 5, 4)
    expected = kl(students=student, sources=source)
    torch.testing.assert_close(Renyi(1.0)(students=student, sources=source), expected, rtol=0, atol=0)
    for alpha in (1 - 1e-6, 1 + 1e-6):
        torch.testing.assert_close(Renyi(alpha)(students=student, sources=source), expected, rtol=1e-4, atol=1e-6)
    # to the first order the gap is (alpha - 1) / 2 times the variance of log q / p under q
    ratio = source.log_softmax(-1) - student.log_softmax(-1)
    q = source.softmax(-1)
    variance = (q * ratio**2).sum(-1) - (q * ratio).sum(-1) ** 2
    gap = Renyi(1 + 1e-4)(students=student, sources=source) - expected
    torch.testing.assert_close(gap, 0.5e-4 * variance, rtol=1e-2, atol=1e-9)


def test_large_orders_go_to_the_largest_ratio_and_small_ones_to_zero():
    student, source = drawn(4, 1, 5, 4), drawn(5, 1, 5, 4)
    largest = (source.log_softmax(-1) - student.log_softmax(-1)).amax(-1)
    torch.testing.assert_close(Renyi(5000.0)(students=student, sources=source), largest, rtol=5e-3, atol=1e-3)
    assert Renyi(1e-9)(students=student, sources=source).abs().max() < 1e-7


@given(seed=st.integers(0, 10**6), scale=st.floats(0.05, 10.0))
@quick
def test_never_below_zero_zero_where_equal_and_growing_with_the_order(seed, scale):
    a, b = drawn(seed, 1, 3, 4, scale=scale), drawn(seed + 1, 1, 3, 4, scale=scale)
    values = [Renyi(alpha)(students=a, sources=b) for alpha in ORDERS]
    assert all((after - before).min() > -1e-10 for before, after in itertools.pairwise(values))
    assert values[0].min() > -1e-12
    for alpha in ORDERS:
        assert Renyi(alpha)(students=a, sources=a + 4.0).abs().max() < 1e-10
    # skew symmetry: (1 - alpha) R_alpha(q || p) = alpha R_(1 - alpha)(p || q)
    one, two = Renyi(0.25)(students=a, sources=b), Renyi(0.75)(students=b, sources=a)
    torch.testing.assert_close(0.75 * one, 0.25 * two, rtol=1e-8, atol=1e-11)


def test_order_half_is_symmetric_and_bhattacharyyas():
    a, b = drawn(6, 1, 4, 3), drawn(7, 1, 4, 3)
    value = Renyi(0.5)(students=a, sources=b)
    torch.testing.assert_close(value, Renyi(0.5)(students=b, sources=a))
    torch.testing.assert_close(value, -2 * (a.softmax(-1) * b.softmax(-1)).sqrt().sum(-1).log())
    assert not torch.allclose(Renyi(1.0)(students=a, sources=b), reverse_kl(students=a, sources=b))


@pytest.mark.parametrize("alpha", ORDERS)
def test_a_class_that_the_source_excludes_adds_nothing(alpha):
    student, source = drawn(8, 1, 3, 4), drawn(9, 1, 3, 4)
    both = student.clone()
    expected = Renyi(alpha)(students=student[..., :3], sources=source[..., :3])
    source[..., 3] = both[..., 3] = -torch.inf
    both.requires_grad_()
    value = Renyi(alpha)(students=both, sources=source)
    torch.testing.assert_close(value, expected)
    assert naive.gradients(value, both)[0].isfinite().all()
    assert Renyi(alpha)(students=student, sources=source).isfinite().all()


def test_it_is_found_by_its_spec_with_its_order():
    assert vars(divergences.get("renyi")) == {"alpha": 0.5}
    assert vars(divergences.get("renyi:alpha=2")) == {"alpha": 2.0}
    for wrong in ("0", "-1", "inf", "nan", "true", "much"):
        with pytest.raises(ValueError, match="alpha=.*: give a number above 0"):
            divergences.get(f"renyi:alpha={wrong}")
    assert not Renyi(2.0).linear
