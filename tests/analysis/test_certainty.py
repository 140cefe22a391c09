import math

import pytest
import torch

from analysis.small import batches, net, same, state
from codistill.analysis.certainty import certainty


def test_certainty_is_what_the_posteriors_say():
    network = net()
    before = state(network)
    got = certainty(network, batches(parts=2))
    assert same(state(network), before)
    (x, y), *_ = batches()
    p = network.eval()(x).softmax(1).tolist()
    n = len(p)
    assert got.loss == pytest.approx(-sum(math.log(row[c]) for row, c in zip(p, y.tolist(), strict=True)) / n)
    assert got.entropy == pytest.approx(-sum(q * math.log(q) for row in p for q in row) / n)
    assert got.top == pytest.approx([sum(sorted(row)[-1 - rank] for row in p) / n for rank in range(3)])
    assert got.accuracy == pytest.approx(
        sum(row.index(max(row)) == c for row, c in zip(p, y.tolist(), strict=True)) / n
    )
    assert got.n == n


def test_five_ranks_at_the_most_and_nothing_where_nothing_has_a_label():
    wide = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 9)).double()
    assert len(certainty(wide, batches()).top) == 5
    (x, y), *_ = batches()
    unknown = certainty(wide, [(x, torch.full_like(y, -1))])
    assert (unknown.n, unknown.top) == (0, ())
    assert math.isnan(unknown.loss)
