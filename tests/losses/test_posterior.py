import pytest
import torch
from torch.nn import functional as F

from codistill.losses import posterior
from codistill.losses.posterior import log_posterior


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
