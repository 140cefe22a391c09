"""The largest probabilities and the rest: against plain loops, and against the exact divergence."""

import math

import pytest
import torch

from codistill.losses import divergences
from codistill.losses.grouped import Grouped

C = 12
NAMES = ["kl", "reverse_kl", "symmetric_kl", "js", "renyi:alpha=0.5", "renyi:alpha=2"]


def posteriors(spread, samples=40, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(2, 1, samples, C, dtype=torch.float64, generator=draw)).log_softmax(-1)


def naive_kl(q, p, k):
    """Of two lists of probabilities."""
    chosen = sorted(range(len(q)), key=lambda c: -q[c])[:k]
    others = [c for c in range(len(q)) if c not in chosen]
    value = sum(q[c] * math.log(q[c] / p[c]) for c in chosen)
    rest = [sum(x[c] for c in others) for x in (q, p)]
    return value + rest[0] * math.log(rest[0] / rest[1])


@pytest.mark.parametrize("k", [1, 3, 10, 11])
def test_plain_loops_give_the_same(k):
    source, student = posteriors(2.0)
    found = Grouped(divergences.get("kl"), k).between(source, student)
    expected = [naive_kl(q, p, k) for q, p in zip(source[0].exp().tolist(), student[0].exp().tolist(), strict=True)]
    assert found[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("spread", [0.3, 2.0, 8.0])
@pytest.mark.parametrize("name", NAMES)
def test_more_classes_never_say_less_and_all_say_everything(name, spread):
    """Processing does not increase a divergence, and k + 1 groups are the k of before, one of them cut in two."""
    source, student = posteriors(spread)
    divergence = divergences.get(name)
    values = torch.stack([Grouped(divergence, k).between(source, student) for k in range(1, C + 3)])
    exact = divergence.between(source, student)
    assert (values.diff(dim=0) >= -1e-12).all()
    assert (values <= exact + 1e-12).all()
    assert (values[0] < exact).all()  # something is left out
    torch.testing.assert_close(values[C - 2], exact)  # k = C - 1


@pytest.mark.parametrize("name", NAMES[:4])
def test_what_is_not_told_is_filled_in_by_the_student(name):
    """Value and gradient are those of D from the source's largest, and the student's own shares of the rest."""
    source, student = posteriors(2.0)
    leaf, other = student.clone().requires_grad_(), student.clone().requires_grad_()
    divergence = divergences.get(name)
    grouped = Grouped(divergence, 3).between(source, leaf.log_softmax(-1))
    told = torch.zeros_like(source, dtype=torch.bool).scatter(-1, source.topk(3).indices, True)
    q, p = source.exp(), student.exp()
    rest = [(x * ~told).sum(-1, keepdim=True) for x in (q, p)]
    filled = torch.where(told, q, rest[0] * p / rest[1]).log()
    exact = divergence.between(filled, other.log_softmax(-1))
    torch.testing.assert_close(grouped, exact)
    gradients = [torch.autograd.grad(value.sum(), at)[0] for value, at in ((grouped, leaf), (exact, other))]
    torch.testing.assert_close(*gradients)


def test_sure_posteriors_of_half_precision_have_finite_gradients():
    draw = torch.Generator().manual_seed(0)
    source, student = (60 * torch.randn(2, 1, 50, C, generator=draw)).bfloat16()
    student.requires_grad_()
    value = Grouped(divergences.get("kl"), 2)(students=student, sources=source, temperature=2.0)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def test_one_source_for_all_students():
    source, student = posteriors(2.0)
    both = torch.cat([student, source])
    found = Grouped(divergences.get("js"), 2).between(source[0], both)
    expected = [Grouped(divergences.get("js"), 2).between(source[0], one) for one in both]
    torch.testing.assert_close(found, torch.stack(expected))
