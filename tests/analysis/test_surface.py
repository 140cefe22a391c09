import copy

import pytest
import torch
from torch.nn import functional as F

from analysis.small import batches, net, same, state
from codistill.analysis.surface import LINE, PLANE, direction, line, plane
from small_nets import several


def loss_at(network, by):
    other = copy.deepcopy(network).eval()
    with torch.no_grad():
        for name, p in other.named_parameters():
            p += by.get(name, torch.zeros_like(p))
        (x, y), *_ = batches()
        return float(F.cross_entropy(other(x), y))


def test_a_direction_is_as_long_as_each_filter_and_leaves_vectors_alone():
    network = net()
    d = direction(network, seed=2)
    assert set(d) == {n for n, p in network.named_parameters() if p.dim() > 1}
    for name, each in d.items():
        for mine, own in zip(each, network.get_parameter(name), strict=True):
            assert float(mine.norm()) == pytest.approx(float(own.detach().norm()))


def test_networks_of_like_architecture_get_the_same_direction_before_it_is_scaled():
    a, b = (direction(n) for n in several("cc"))
    for name in a:
        cosine = F.cosine_similarity(a[name].flatten(1), b[name].flatten(1))
        assert torch.allclose(cosine, torch.ones_like(cosine))
    assert not torch.allclose(a["0.weight"], direction(several("c")[0], axis=1)["0.weight"])


def test_the_line_and_the_plane_are_losses_at_moved_weights():
    network = net()
    before = state(network)
    d, e = direction(network, 4, 0), direction(network, 4, 1)
    at = (-0.5, 0.0, 0.7)
    assert line(network, batches(parts=2), at, seed=4) == pytest.approx(
        [loss_at(network, {n: a * d[n] for n in d}) for a in at]
    )
    rows = plane(network, batches(), at, seed=4)
    for b, row in zip(at, rows, strict=True):
        assert row == pytest.approx([loss_at(network, {n: a * d[n] + b * e[n] for n in d}) for a in at])
    assert same(state(network), before)


def test_the_solution_is_a_point_of_both_grids():
    assert 0.0 in LINE
    assert 0.0 in PLANE
