import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import accuracy_score

from codistill.metrics.pairs import agreement


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equals_scikit_learn_and_a_loop():
    logits = drawn(0, 2, 3, 30, 4)
    got = agreement(logits)
    assert got.shape == (2, 3, 3)
    for r in range(2):
        for i in range(3):
            for j in range(3):
                one, two = logits[r, i].argmax(-1), logits[r, j].argmax(-1)
                assert got[r, i, j].item() == pytest.approx(accuracy_score(one, two))
                same = sum(int(a == b) for a, b in zip(one.tolist(), two.tolist(), strict=True))
                assert got[r, i, j].item() == pytest.approx(same / 30)


@given(seed=st.integers(0, 10**6), peers=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_properties(seed, peers):
    got = agreement(drawn(seed, peers, 11, 3))
    assert torch.equal(got, got.mT)
    assert (got.diagonal() == 1).all()
    assert ((got >= 0) & (got <= 1)).all()


def test_nan_agrees_with_nobody():
    logits = torch.zeros(2, 2, 3, dtype=torch.float64)
    logits[:, 0, 1] = float("nan")
    assert agreement(logits).tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert agreement(logits).dtype == torch.float64
