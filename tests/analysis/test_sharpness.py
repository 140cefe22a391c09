import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from analysis.small import batches, net, same, state
from codistill.analysis.sharpness import sharpness


def loss(network, x, y):
    return F.cross_entropy(network(x), y)


def ascended(network, rho, relative):
    """Rise of the loss after one step uphill, filter by filter."""
    (x, y), *_ = batches()
    other = copy.deepcopy(network).eval()
    before = loss(other, x, y)
    before.backward()
    units = {n: torch.stack([f.detach().norm().expand_as(f) for f in p]) for n, p in other.named_parameters()}
    units = units if relative else {n: torch.ones_like(u) for n, u in units.items()}
    length = sum((units[n] * p.grad).square().sum() for n, p in other.named_parameters()).sqrt()
    with torch.no_grad():
        for n, p in other.named_parameters():
            p += rho * units[n] ** 2 * p.grad / length
        return float(loss(other, x, y) - before)


@pytest.mark.parametrize("relative", [False, True])
def test_sharpness_is_the_rise_after_one_ascent_step(relative):
    network = net()
    before = state(network)
    got = sharpness(network, batches(parts=3), rho=0.05, relative=relative)
    assert same(state(network), before)
    assert all(p.grad is None for p in network.parameters())
    assert got == pytest.approx(ascended(network, 0.05, relative))
    assert got > 0


def test_the_relative_form_does_not_see_the_scale_of_a_filter():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False)).double()
    other = copy.deepcopy(network)
    with torch.no_grad():
        other[1].weight *= 4
        other[3].weight /= 4
    values = {r: [sharpness(n, batches(), relative=r) for n in (network, other)] for r in (False, True)}
    assert values[True][0] == pytest.approx(values[True][1])
    assert values[False][0] != pytest.approx(values[False][1], rel=1e-2)


def test_where_the_loss_is_level_there_is_no_sharpness():
    level = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    x, y = torch.zeros(3, 1, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 2])
    with torch.no_grad():
        level[1].bias.zero_()
    assert sharpness(level, [(x, y)]) == 0.0


def test_a_step_of_no_length_is_refused():
    with pytest.raises(ValueError, match="rho=0: give a length above 0, such as 0.05"):
        sharpness(net(), batches(), rho=0)
