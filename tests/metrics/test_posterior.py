import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy import stats

from codistill.metrics.accuracy import accuracy
from codistill.metrics.calibration import nll
from codistill.metrics.posterior import entropy, mean_posterior, top_posterior


def drawn(seed: int, *shape: int, dtype=torch.float64) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_entropy_equals_scipy(dtype, near):
    logits = drawn(0, 2, 3, 20, 5, dtype=dtype)
    expected = stats.entropy(logits.double().softmax(-1).numpy(), axis=-1).mean(-1)
    torch.testing.assert_close(entropy(logits), torch.tensor(expected, dtype=dtype), rtol=near, atol=near)


def test_entropy_at_its_ends():
    assert entropy(torch.zeros(4, 8)).item() == pytest.approx(math.log(8))
    assert entropy(torch.tensor([[0.0, -math.inf, -math.inf]])).item() == 0
    assert entropy(torch.tensor([[1e4, 0.0]])).item() == 0
    assert entropy(torch.tensor([[math.nan, 0.0]])).isnan()


def test_mean_posterior_equals_a_loop():
    logits = drawn(1, 3, 2, 4, 5)
    got = mean_posterior(logits)
    for i in range(2):
        for n in range(4):
            for m in range(5):
                mean = sum(logits[p, i, n].softmax(-1)[m].item() for p in range(3)) / 3
                assert got[i, n, m].item() == pytest.approx(math.log(mean))


@given(seed=st.integers(0, 10**6), peers=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_properties(seed, peers):
    logits = drawn(seed, peers, 9, 4)
    labels = torch.randint(4, (9,), generator=torch.Generator().manual_seed(seed))
    log_p = mean_posterior(logits)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(9, dtype=torch.float64))
    torch.testing.assert_close(log_p, mean_posterior(logits.flip(0)))
    # -log is convex and entropy concave: the ensemble loses at most the mean and is at least as unsure
    assert nll(log_p, labels) <= nll(logits, labels).mean() + 1e-12
    assert entropy(log_p) >= entropy(logits).mean() - 1e-12
    top = top_posterior(logits, 4)
    torch.testing.assert_close(top.sum(-1), torch.ones(peers, dtype=torch.float64))
    assert (top.diff(dim=-1) <= 0).all()


def test_mean_posterior_stands_extreme_logits_and_one_sick_peer():
    logits = torch.tensor([[[1e4, 0.0]], [[0.0, 1e4]]])
    torch.testing.assert_close(mean_posterior(logits).exp(), torch.tensor([[0.5, 0.5]]))
    logits[0, 0, 0] = math.nan
    assert accuracy(mean_posterior(logits), torch.tensor([0])).item() == 0


def test_top_posterior_equals_a_loop():
    logits = drawn(2, 2, 6, 7, dtype=torch.float32)
    got = top_posterior(logits, 3)
    assert got.shape == (2, 3)
    for i in range(2):
        rows = [sorted(row.softmax(-1).tolist(), reverse=True) for row in logits[i]]
        for k in range(3):
            assert got[i, k].item() == pytest.approx(sum(row[k] for row in rows) / 6, rel=1e-5)
    for ranks in (0, 8):
        with pytest.raises(ValueError, match=f"ranks={ranks}"):
            top_posterior(logits, ranks)
