import math
import statistics

import pytest
import torch
from torch.nn import functional as F

from analysis.small import batches, net, same, state
from codistill.analysis.noise import ABSOLUTE, RELATIVE, grid, noise_curve
from codistill.analysis.weights import drawn


def by_hand(network, eps, size):
    """The loss and accuracy of a copy whose parameters were moved one by one."""
    import copy

    moved = copy.deepcopy(network).eval()
    with torch.no_grad():
        for name, p in moved.named_parameters():
            p += size * eps[name]
        (x, y), *_ = batches()
        z = moved(x)
    return float(F.cross_entropy(z, y)), float((z.argmax(1) == y).double().mean())


def test_noise_moves_every_parameter_and_leaves_everything_as_it_was():
    network = net()
    before = state(network)
    curve = noise_curve(network, batches(parts=2), (0.05, 0.2), draws=3, seed=7)
    assert same(state(network), before)
    for k, size in enumerate((0.05, 0.2)):
        each = [by_hand(network, drawn(network, 7, "noise", draw), size) for draw in range(3)]
        losses, accuracies = zip(*each, strict=True)
        assert curve.loss[k] == pytest.approx(statistics.fmean(losses))
        assert curve.loss_sd[k] == pytest.approx(statistics.stdev(losses))
        assert curve.accuracy[k] == pytest.approx(statistics.fmean(accuracies))
        assert curve.accuracy_sd[k] == pytest.approx(statistics.stdev(accuracies))
    assert (curve.sizes, curve.draws) == ((0.05, 0.2), 3)


def test_relative_noise_is_on_average_so_many_times_as_long_as_each_filter():
    network = net()
    curve = noise_curve(network, batches(), (0.3,), relative=True, draws=2)
    losses = []
    for draw in range(2):
        eps = drawn(network, 0, "noise", draw)
        for name, p in network.named_parameters():
            for f in range(len(p)):  # filter by filter
                eps[name][f] *= p[f].detach().norm() / math.sqrt(p[f].numel())
        losses.append(by_hand(network, eps, 0.3)[0])
    assert curve.loss[0] == pytest.approx(statistics.fmean(losses))


def test_relative_noise_does_not_see_the_scale_of_filters_before_batch_norm():
    network, other = net(), net()
    with torch.no_grad():
        for factor, f in ((5.0, 0), (0.2, 2)):
            other[0].weight[f] *= factor
            other[1].running_mean[f] *= factor
            # eps below the root stays, so the variance takes it along
            other[1].running_var[f] = factor**2 * (other[1].running_var[f] + other[1].eps) - other[1].eps
    still = [noise_curve(n, batches(), (0.0,), draws=2).loss[0] for n in (network, other)]
    assert still[0] == pytest.approx(still[1])
    relative = [noise_curve(n, batches(), RELATIVE, relative=True).loss for n in (network, other)]
    assert relative[0] == pytest.approx(relative[1])
    absolute = [noise_curve(n, batches(), (0.1,)).loss[0] for n in (network, other)]
    assert absolute[0] != pytest.approx(absolute[1], rel=1e-3)


def test_noise_of_size_0_changes_nothing_and_the_grids_are_those_of_the_method():
    network = net()
    curve = noise_curve(network, batches(), (0.0,))
    assert curve.loss_sd == (0.0,)
    assert (len(ABSOLUTE), ABSOLUTE[0], ABSOLUTE[-1]) == (9, 1e-3, pytest.approx(1e-1))
    assert (RELATIVE[0], RELATIVE[-1]) == (0.01, pytest.approx(0.5))
    assert grid(1, 100, 3) == pytest.approx((1, 10, 100))


def test_a_loss_that_overflows_is_no_number():
    curve = noise_curve(net().float(), [(x.float(), y) for x, y in batches()], (1e38,))
    assert math.isnan(curve.loss[0])


def test_one_draw_has_no_spread():
    with pytest.raises(ValueError, match="draws=1: give at least 2"):
        noise_curve(net(), batches(), draws=1)
