"""Networks that are tables of numbers: whatever goes in, out come logits that are their parameters."""

import torch
from torch import nn

from codistill.cohort import Cohort


class Table(nn.Module):
    """``z[x]`` and, to be tapped at ``fc:input`` and ``stage``, ``h[x]``, for the number x of a view."""

    def __init__(self, z, h=None):
        super().__init__()
        self.z, self.h = nn.Parameter(z), nn.Parameter(z.new_zeros(len(z), z.shape[1], 2) if h is None else h)
        self.stage, self.fc = nn.Identity(), nn.Identity()

    def forward(self, x):
        self.fc(self.stage(self.h[int(x)]))
        return self.z[int(x)]


def draw(*shape, seed=0, scale=2.0):
    """Numbers in float64."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cohort_of(z, h=None):
    """Of logits ``[P, views, B, C]`` and features, ``[P, views, B, ...]`` or a list: a cohort that has them."""
    return Cohort([Table(z[i].clone(), None if h is None else h[i].clone()) for i in range(len(z))])


def view(number):
    """The inputs of a view."""
    return torch.tensor(number)


def gradients(cohort):
    """By network and parameter; zeros where there is none."""
    return [
        {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in cohort.network(i).named_parameters()}
        for i in range(len(cohort))
    ]


def same(terms, expected, cohort, z, h=None):
    """Values ``{term: [P]}`` as expected, and gradients of the sum of all of them.

    Args:
        terms: of the method.
        expected: the same from the naive reference on ``z`` (and ``h``), leaf tensors.
        cohort: of `cohort_of`.
        z: list of a leaf for each peer.
        h: likewise, or None.
    """
    assert terms.keys() == expected.keys()
    for name, values in expected.items():
        values = torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in values])
        torch.testing.assert_close(terms[name], values, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
    sum(t.sum() for t in terms.values()).backward()
    sum(sum(values) for values in expected.values()).backward()
    for i, found in enumerate(gradients(cohort)):
        for name, leaf in (("z", z[i]), ("h", None if h is None else h[i])):
            if leaf is not None:
                wanted = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                torch.testing.assert_close(found[name], wanted, rtol=1e-8, atol=1e-12)


def leaves(values):
    """A copy of each that takes gradients."""
    return [one.clone().requires_grad_() for one in values]


__all__ = ["Table", "cohort_of", "draw", "gradients", "leaves", "same", "view"]
