import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from analysis.small import batches, net, same, state
from codistill.analysis.interpolation import measure_statistics, path
from small_nets import several


def test_the_line_between_two_peers_without_batch_norm():
    torch.manual_seed(0)
    a, b = (nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 3)).double() for _ in range(2))
    before = state(a), state(b)
    losses = path(a, b, batches(parts=2), (0.0, 0.25, 1.0))
    assert same(state(a), before[0])
    assert same(state(b), before[1])
    (x, y), *_ = batches()
    for t, loss in zip((0.0, 0.25, 1.0), losses, strict=True):
        middle = copy.deepcopy(a)
        with torch.no_grad():
            for p, q in zip(middle.parameters(), b.parameters(), strict=True):
                p.mul_(1 - t).add_(t * q)
            assert loss == pytest.approx(float(F.cross_entropy(middle(x), y)))


def test_batch_norm_statistics_are_measured_again_on_the_line():
    a, b = net(seed=0), net(seed=1)
    before = state(a)
    (x, y), *_ = batches()
    middle = copy.deepcopy(a).train()
    with torch.no_grad():
        for p, q in zip(middle.parameters(), b.parameters(), strict=True):
            p.copy_((p + q) / 2)
        for m in middle.modules():
            m.momentum = 1.0  # the batch's own statistics
        middle(x)
        wanted = float(F.cross_entropy(middle.eval()(x), y))
    assert path(a, b, [(x, y)], (0.5,)) == [pytest.approx(wanted)]
    assert same(state(a), before)


def test_statistics_are_the_mean_over_the_batches_and_the_mode_is_eval():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3)).double()
    pairs = batches(12, parts=3)
    measure_statistics(network, pairs)
    wanted = torch.stack([x.flatten(1).mean(0) for x, _ in pairs]).mean(0)
    torch.testing.assert_close(network[1].running_mean, wanted)
    assert network[1].momentum == 0.1
    assert not any(m.training for m in network.modules())


def test_heterogeneous_networks_have_no_weights_in_between():
    a, b = several("cl")
    with pytest.raises(ValueError, match="have no weights in between: give two networks of the same architecture"):
        path(a, b, batches())
