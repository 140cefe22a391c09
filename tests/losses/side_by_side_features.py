"""A feature loss beside its naive form: values and gradients, edge by edge."""

import torch


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check(loss, naive, students, sources, *more, naive_more=(), **options):
    """``loss`` of ``[E, B, ...]`` is ``naive`` of each edge, in value and in every gradient; sources get none."""
    students = students.clone().requires_grad_()
    more = [m.clone().requires_grad_() for m in more]
    got = loss(students, sources, *more, **options)
    expected = torch.stack(
        [naive(*(t[e] for t in (students, sources, *more)), **options) for e in range(len(students))]
    )
    assert got.shape == (len(students),)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-13)
    factors = torch.arange(1.0, len(students) + 1.0, dtype=torch.float64)
    grads = [torch.autograd.grad((v * factors).sum(), [students, *more], retain_graph=True) for v in (got, expected)]
    torch.testing.assert_close(*grads, rtol=1e-9, atol=1e-12)
    return got.detach()


def check_edges(loss, students, sources, *more):
    """No edge depends on another."""
    before = loss(students, sources, *more)
    changed = students.clone()
    changed[0] += 1.0 + changed[0].abs()
    after = loss(changed, sources, *more)
    assert after[0] != before[0]
    assert torch.equal(after[1:], before[1:])


__all__ = ["check", "check_edges", "drawn"]
