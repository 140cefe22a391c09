import pytest
import torch
from torch import nn
from torch.nn import functional as F

from codistill.losses import posterior
from codistill.losses.posterior import log_posterior, one_pass


@pytest.mark.parametrize("shape", [(8, 64, 10), (31, 77, 9), (40, 30, 2), (500, 3), (3, 40, 5, 4)])
@pytest.mark.parametrize("scale", [0.1, 10.0, 200.0])
def test_few_classes_by_columns_give_the_bits_of_rows(shape, scale, monkeypatch):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0)).mul(scale).requires_grad_()
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    mine, theirs = log_posterior(z), F.log_softmax(z, dim=-1)
    gradients = [torch.autograd.grad((each * weights).sum(), z)[0] for each in (mine, theirs)]
    assert torch.equal(mine, theirs)
    assert torch.equal(*gradients)
    assert mine.is_contiguous()
    assert gradients[0].stride() == z.stride()
    monkeypatch.setattr(posterior, "_columns_are_the_same", lambda: True)  # where the bits differ, the values agree
    torch.testing.assert_close(log_posterior(z), theirs)


def test_columns_are_for_few_classes_in_single_precision(monkeypatch):
    taken = []
    monkeypatch.setattr(posterior, "_columns_are_the_same", lambda: True)
    monkeypatch.setattr(posterior, "_by_columns", lambda z: taken.append(z.shape) or F.log_softmax(z, dim=-1))
    for z in (torch.zeros(4, 500, 20), torch.zeros(2, 5, 10), torch.zeros(8, 64, 10).double(), torch.zeros(5000)):
        log_posterior(z)
    assert taken == []
    log_posterior(torch.zeros(8, 64, 10))
    assert taken == [(8, 64, 10)]


def counted(monkeypatch):
    """How often a posterior is computed, in a list."""
    calls, compute = [], posterior._of_classes
    monkeypatch.setattr(posterior, "_of_classes", lambda z, t: calls.append(t) or compute(z, t))
    return calls


def test_in_one_pass_the_same_logits_have_one_posterior(monkeypatch):
    calls = counted(monkeypatch)
    z = torch.randn(3, 5, 4).requires_grad_()
    with one_pass():
        first = log_posterior(z)
        assert log_posterior(z) is first
        assert not log_posterior(z.detach()).requires_grad
        assert torch.equal(log_posterior(z.detach()), first)
        assert calls == [1.0]
        assert torch.equal(log_posterior(z, temperature=2.0), F.log_softmax(z / 2.0, -1))
        assert calls == [1.0, 2.0]
        with one_pass():
            assert log_posterior(z) is not first
    assert log_posterior(z) is not log_posterior(z)


def test_one_pass_tells_apart_what_is_not_the_same(monkeypatch):
    calls = counted(monkeypatch)
    z = torch.randn(3, 4)
    with one_pass():
        before = log_posterior(z)
        z.add_(torch.randn(3, 4))
        assert torch.equal(log_posterior(z), F.log_softmax(z, -1))
        assert not torch.equal(before, log_posterior(z))
        assert torch.equal(log_posterior(z.t()), F.log_softmax(z.t(), -1))
        assert torch.equal(log_posterior(z[:2]), F.log_softmax(z[:2], -1))
        leaf = z.detach().requires_grad_()  # the same values at the same address, and a graph of their own
        assert log_posterior(leaf).requires_grad
        other = leaf * 1.0
        torch.autograd.grad(log_posterior(other)[:, 0].sum(), leaf)
        assert len(calls) == 6
        batched = torch.vmap(log_posterior)(z)
        assert torch.equal(batched, F.log_softmax(z, -1))


def test_the_gradient_of_terms_in_one_pass_is_that_of_each_by_itself():
    z = torch.randn(4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def terms():
        log_p, q = log_posterior(z), log_posterior(z.detach()).exp().roll(1, 0)
        return -log_p[..., 0].sum() - (q * log_posterior(z)).sum() - 0.1 * log_posterior(z, temperature=3.0).sum()

    with one_pass():
        together = terms()
    mine, theirs = (torch.autograd.grad(each, z)[0] for each in (together, terms()))
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 20])
def test_a_batch_of_any_size_can_be_exported(classes):
    class Net(nn.Module):
        def forward(self, z):
            return log_posterior(z)

    batch = torch.export.Dim("batch")
    program = torch.export.export(Net(), (torch.zeros(4, classes),), dynamic_shapes=({0: batch},)).module()
    z = torch.randn(700, classes)
    torch.testing.assert_close(program(z), log_posterior(z))
