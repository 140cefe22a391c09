"""Distance by correlation."""

import pytest
import torch
from hypothesis import given, settings, strategies as st

import naive
from codistill.losses.features.dist import correlation_distance, dist


def drawn(seed, *shape, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pearson(a, b):
    """Of two rows."""
    a, b = a - sum(a) / len(a), b - sum(b) / len(b)
    return sum(a * b) / (torch.sqrt(sum(a * a)) * torch.sqrt(sum(b * b)))


def relations(source, student, beta, gamma, temperature):
    """Of [B, C] logits."""
    q = torch.stack([naive.softmax(row, temperature) for row in source])
    p = torch.stack([naive.softmax(row, temperature) for row in student])
    between = sum(1 - pearson(p[b], q[b]) for b in range(len(p))) / len(p)
    within = sum(1 - pearson(p[:, c], q[:, c]) for c in range(p.shape[1])) / p.shape[1]
    return temperature**2 * (beta * between + gamma * within)


@pytest.mark.parametrize(("beta", "gamma", "temperature"), [(1.0, 1.0, 1.0), (2.0, 0.5, 4.0), (0.0, 1.0, 2.0)])
def test_values_and_gradients_are_the_naive_ones(beta, gamma, temperature):
    student, source = drawn(0, 2, 5, 4).requires_grad_(), drawn(1, 2, 5, 4)
    got = dist(students=student, sources=source, beta=beta, gamma=gamma, temperature=temperature)
    expected = torch.stack([relations(q, p, beta, gamma, temperature) for q, p in zip(source, student, strict=True)])
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
    one, two = (naive.gradients(v, student)[0] for v in (got, expected))
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


def test_the_defaults_are_those_of_the_published_code():
    student, source = drawn(2, 1, 4, 3), drawn(3, 1, 4, 3)
    said = dist(students=student, sources=source, beta=1.0, gamma=1.0, temperature=1.0)
    torch.testing.assert_close(dist(students=student, sources=source), said)


def test_a_mask_leaves_samples_out_of_both_relations():
    student, source = drawn(4, 2, 6, 3).requires_grad_(), drawn(5, 2, 6, 3)
    mask = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0]])
    got = dist(students=student, sources=source, mask=mask)
    kept = [m.bool() for m in mask]
    expected = torch.stack([relations(source[e][kept[e]], student[e][kept[e]], 1.0, 1.0, 1.0) for e in range(2)])
    torch.testing.assert_close(got, expected)
    grad = naive.gradients(got, student)[0]
    assert grad[0, 1].abs().max() == 0.0
    assert grad[0, 0].abs().min() > 0.0


def test_tokens_count_as_samples():
    student, source = drawn(6, 1, 3, 2, 4), drawn(7, 1, 3, 2, 4)
    mask = torch.tensor([[[1, 0], [1, 1], [1, 1]]])
    got = dist(students=student, sources=source, mask=mask)
    flat = dist(students=student.flatten(1, 2), sources=source.flatten(1, 2), mask=mask.flatten(1))
    torch.testing.assert_close(got, flat)


@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 5.0), factor=st.floats(0.1, 10.0))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_zero_where_equal_and_blind_to_scale_and_shift(seed, scale, factor):
    a, b = drawn(seed, 1, 4, 5, scale=scale), drawn(seed + 1, 1, 4, 5, scale=scale)
    assert dist(students=a, sources=a.clone()).abs().max() < 1e-12
    assert 0.0 < dist(students=a, sources=b).item() <= 4.0
    one, two = correlation_distance(a, b), correlation_distance(factor * a + 3.0, b)
    torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(correlation_distance(a, -b), 2.0 - one)
    torch.testing.assert_close(correlation_distance(b, a), one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posteriors_that_are_all_alike_give_no_gradient_that_blows_up(dtype):
    other = drawn(8, 1, 4, 10).to(dtype)
    for flat in (torch.zeros(1, 4, 10, dtype=dtype), torch.full((1, 4, 10), 0.1, dtype=dtype)):
        student = flat.requires_grad_()
        value = dist(students=student, sources=other)
        assert value.item() == pytest.approx(2.0)
        assert naive.gradients(value, student)[0].abs().max() == 0.0
        assert dist(students=flat, sources=flat).item() == 0.0


def test_one_sample_has_no_relation_over_the_batch():
    student, source = drawn(9, 1, 1, 4).requires_grad_(), drawn(10, 1, 1, 4)
    value = dist(students=student, sources=source, beta=0.0)
    assert value.item() == 0.0
    assert naive.gradients(value, student)[0].abs().max() == 0.0
    nobody = dist(students=student, sources=source, mask=torch.tensor([[0]]))
    assert nobody.item() == 0.0
    assert naive.gradients(nobody, student)[0].abs().max() == 0.0


def test_classes_of_small_probability_count_like_the_others():
    rare = torch.tensor([0.0, 0.0, -60.0, -90.0])  # of squares below what float32 holds
    student, source = (drawn(seed, 1, 6, 4).float() + rare for seed in (11, 12))
    student.requires_grad_()
    value = dist(students=student, sources=source, beta=0.0)
    expected = relations(source[0].double(), student[0].double(), 0.0, 1.0, 1.0)
    torch.testing.assert_close(value[0].double(), expected, rtol=1e-4, atol=1e-5)
    assert naive.gradients(value, student)[0].isfinite().all()
    assert dist(students=source, sources=source).item() < 1e-5


def test_half_precision_logits_are_compared_in_float32():
    a, b = drawn(13, 1, 4, 3).bfloat16(), drawn(14, 1, 4, 3).bfloat16()
    assert dist(students=a, sources=b).dtype == torch.float32
    torch.testing.assert_close(dist(students=a, sources=b), dist(students=a.float(), sources=b.float()))
