from itertools import pairwise

import pytest
import torch

from codistill.models import build, count_parameters
from codistill.models.mlp import mlp


@pytest.mark.parametrize(("hidden", "layers"), [(64, 2), (5, 1), (3, 4)])
def test_count(hidden, layers):
    widths = [2 * 6, *[hidden] * layers, 7]
    assert count_parameters(mlp(7, (2, 6), hidden, layers)) == sum(a * b + b for a, b in pairwise(widths))


def test_is_its_equation():
    net = build("mlp:hidden=4", 3, (2, 3), seed=0)
    x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))
    h = x.reshape(5, 6)
    for stage in (net.stage1, net.stage2):
        h = (h @ stage.linear.weight.T + stage.linear.bias).clamp(min=0)
    torch.testing.assert_close(net(x), h @ net.fc.weight.T + net.fc.bias)
