import math
import statistics

import pytest
import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn import functional as F

from analysis.small import batches, same, state, tiny
from codistill.analysis.hessian import by_autograd, by_differences, trace
from codistill.analysis.weights import drawn


def hessian(network):
    """The whole matrix, its rows in the order of the parameters."""
    (x, y), *_ = batches()
    names, shapes = zip(*((n, p.shape) for n, p in network.named_parameters()), strict=True)
    flat = torch.cat([p.detach().flatten() for p in network.parameters()])

    def loss(w):
        parts = w.split([s.numel() for s in shapes])
        return F.cross_entropy(
            functional_call(network, {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}, x), y
        )

    return torch.autograd.functional.hessian(loss, flat)


def test_every_probe_measures_the_hessians_quadratic_form():
    network = tiny()
    h = hessian(network)
    probes = [drawn(network, 5, "p", i, signs=True) for i in range(4)]
    flat = [torch.cat([v.flatten() for v in probe.values()]) for probe in probes]
    wanted = [float(v @ h @ v) for v in flat]
    before = state(network)
    assert by_autograd(network, batches(parts=3), probes) == pytest.approx(wanted)
    assert by_differences(network, batches(parts=3), probes) == pytest.approx(wanted, rel=1e-5)
    assert same(state(network), before)


def test_the_estimate_is_the_trace_within_its_error():
    network = tiny()
    estimate = trace(network, batches(), probes=400)
    exact = float(hessian(network).trace())
    assert abs(estimate.mean - exact) < 4 * estimate.error
    assert estimate.error < 0.2 * abs(exact)
    assert (estimate.probes, estimate.how, estimate.why) == (400, "autograd", "")


def test_mean_and_standard_error_are_over_the_probes():
    network = tiny()
    each = by_autograd(network, batches(), [drawn(network, 2, "hutchinson", i, signs=True) for i in range(5)])
    estimate = trace(network, batches(), probes=5, seed=2)
    assert estimate.mean == pytest.approx(statistics.fmean(each))
    assert estimate.error == pytest.approx(statistics.stdev(each) / math.sqrt(5))


class Once(torch.autograd.Function):
    """Tanh that can be differentiated once."""

    @staticmethod
    def forward(ctx, x):
        y = x.tanh()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * (1 - y * y)


class Odd(nn.Module):
    def forward(self, x):
        return Once.apply(x)


def test_gradients_that_were_there_stay():
    network = tiny()
    for p in network.parameters():
        p.grad = torch.full_like(p, 7.0)
    trace(network, batches(), probes=2)
    assert all((p.grad == 7).all() for p in network.parameters())


def test_a_layer_without_a_second_derivative_is_measured_by_differences_and_says_so():
    plain, odd = tiny(), tiny()
    odd[2] = Odd()
    estimate = trace(odd, batches(), probes=6)
    assert estimate.how == "finite differences"
    assert "once_differentiable" in estimate.why
    assert estimate.mean == pytest.approx(trace(plain, batches(), probes=6).mean, rel=1e-5)


def test_recurrent_networks_can_be_differentiated_twice():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.out = nn.GRU(4, 2, batch_first=True), nn.Linear(2, 3)

        def forward(self, x):
            return self.out(self.cell(x.flatten(1, 2))[0][:, -1])

    torch.manual_seed(0)
    reader = Reader().double()
    estimate = trace(reader, batches(), probes=3)
    assert estimate.how == "autograd"
    probes = [drawn(reader, 0, "hutchinson", i, signs=True) for i in range(3)]
    assert estimate.mean == pytest.approx(statistics.fmean(by_differences(reader, batches(), probes)), rel=1e-5)


def test_one_probe_has_no_error():
    with pytest.raises(ValueError, match="probes=1: give at least 2"):
        trace(tiny(), batches(), probes=1)
