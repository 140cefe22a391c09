"""The decoupled divergence: the true class apart from the others."""

import pytest
import torch

import naive
from codistill.losses.divergences.kl import kl
from codistill.losses.labels.dkd import dkd


def drawn(seed, *shape, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def decoupled(source, student, y, alpha, beta, temperature):
    """Of one sample's logits [C], with plain probabilities."""
    q, p = naive.softmax(source, temperature), naive.softmax(student, temperature)
    others = [c for c in range(len(q)) if c != y]
    target = naive.divergence("kl", torch.stack([q[y], 1 - q[y]]), torch.stack([p[y], 1 - p[y]]))
    rest = naive.divergence("kl", q[others] / q[others].sum(), p[others] / p[others].sum())
    return temperature**2 * (alpha * target + beta * rest)


@pytest.mark.parametrize(("alpha", "beta", "temperature"), [(1.0, 8.0, 4.0), (0.5, 2.0, 1.0), (0.0, 1.0, 3.0)])
def test_values_and_gradients_are_the_naive_ones(alpha, beta, temperature):
    student, source = drawn(0, 2, 5, 4).requires_grad_(), drawn(1, 2, 5, 4)
    y = torch.tensor([[0, 1, 2, 3, 0], [3, 3, 1, 0, 2]])
    got = dkd(students=student, sources=source, labels=y, alpha=alpha, beta=beta, temperature=temperature)
    rows = zip(source.flatten(0, 1), student.flatten(0, 1), y.flatten(), strict=True)
    expected = torch.stack([decoupled(q, p, c, alpha, beta, temperature) for q, p, c in rows]).view(2, 5)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
    weights = drawn(2, 2, 5)
    one, two = (naive.gradients(v * weights, student)[0] for v in (got, expected))
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


def test_the_defaults_are_the_published_ones():
    student, source, y = drawn(3, 1, 3, 5), drawn(4, 1, 3, 5), torch.tensor([[4, 0, 2]])
    said = dkd(students=student, sources=source, labels=y, alpha=1.0, beta=8.0, temperature=4.0)
    torch.testing.assert_close(dkd(students=student, sources=source, labels=y), said)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_weighed_by_what_the_source_leaves_to_the_others_it_is_kl(temperature):
    student, source, y = drawn(5, 2, 6, 4), drawn(6, 2, 6, 4), torch.randint(0, 4, (2, 6))
    settings = {"students": student, "sources": source, "labels": y, "temperature": temperature}
    target, rest = dkd(**settings, alpha=1.0, beta=0.0), dkd(**settings, alpha=0.0, beta=1.0)
    left = 1 - (source / temperature).softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
    expected = kl(students=student, sources=source, temperature=temperature)
    torch.testing.assert_close(target + left * rest, expected)


def test_equal_logits_give_zero_and_two_classes_have_no_others():
    z, y = drawn(7, 1, 4, 3), torch.tensor([[0, 1, 2, 0]])
    assert dkd(students=z, sources=z + 3.0, labels=y).abs().max() < 1e-12
    student, source, y = drawn(8, 1, 4, 2).requires_grad_(), drawn(9, 1, 4, 2), torch.tensor([[0, 1, 1, 0]])
    rest = dkd(students=student, sources=source, labels=y, alpha=0.0)
    assert rest.abs().max() == 0.0
    assert naive.gradients(rest, student)[0].abs().max() == 0.0
    whole = dkd(students=student, sources=source, labels=y, temperature=1.0)
    torch.testing.assert_close(whole, kl(students=student, sources=source))


def test_a_sample_without_a_label_gives_nothing_and_no_gradient():
    student, source = drawn(10, 1, 3, 4).requires_grad_(), drawn(11, 1, 3, 4)
    value = dkd(students=student, sources=source, labels=torch.tensor([[1, -1, 2]]))
    assert value[0, 1].item() == 0.0
    grad = naive.gradients(value, student)[0]
    assert grad[0, 1].abs().max() == 0.0
    assert grad[0, 0].abs().min() > 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_source_that_is_sure_still_teaches_about_the_others(dtype):
    # p_y rounds to 1: what the others have among themselves must not be lost in 1 - p_y
    source = torch.tensor([[[60.0, 2.0, 0.0, -1.0]]]).to(dtype)
    student = torch.tensor([[[50.0, 0.0, 2.0, -1.0]]]).to(dtype).requires_grad_()
    value = dkd(students=student, sources=source, labels=torch.tensor([[0]]), temperature=1.0)
    rest = [naive.softmax(torch.tensor(z)) for z in ([2.0, 0.0, -1.0], [0.0, 2.0, -1.0])]
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(8 * naive.divergence("kl", *rest).item(), rel=1e-4)
    grad = naive.gradients(value, student)[0]
    assert grad.isfinite().all()
    assert grad[0, 0, 1:3].abs().min() > 1.0


def test_a_class_that_both_exclude_adds_nothing():
    student, source, y = drawn(12, 1, 3, 4), drawn(13, 1, 3, 4), torch.tensor([[0, 1, 2]])
    expected = dkd(students=student[..., :3], sources=source[..., :3], labels=y)
    student[..., 3] = source[..., 3] = -torch.inf
    student.requires_grad_()
    got = dkd(students=student, sources=source, labels=y)
    torch.testing.assert_close(got, expected)
    assert naive.gradients(got, student)[0].isfinite().all()


def test_tokens_have_a_class_each():
    student, source, y = drawn(14, 2, 3, 2, 4), drawn(15, 2, 3, 2, 4), torch.randint(0, 4, (2, 3, 2))
    got = dkd(students=student, sources=source, labels=y)
    flat = dkd(students=student.flatten(1, 2), sources=source.flatten(1, 2), labels=y.flatten(1))
    torch.testing.assert_close(got.flatten(1), flat)
