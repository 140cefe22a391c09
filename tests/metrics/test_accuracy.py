import pytest
import torch
from hypothesis import given, settings, strategies as st
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from codistill.metrics.accuracy import accuracy


def drawn(seed: int, *shape: int, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(*shape, generator=generator, dtype=dtype)
    return logits, torch.randint(shape[-1], (shape[-2],), generator=generator)


def naive(logits, labels, top):
    """Sort the classes of every example (a stable sort: the lower number first) and look for the label."""
    right = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if any(value != value for value in row):
            continue
        order = sorted(range(len(row)), key=lambda m: -row[m])
        right += label in order[:top]
    return right / len(labels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("top", [1, 2, 5])
def test_equals_a_loop_and_keeps_leading_dims(dtype, top):
    logits, labels = drawn(0, 2, 3, 40, 6, dtype=dtype)
    got = accuracy(logits, labels, top)
    assert got.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            assert got[i, j].item() == pytest.approx(naive(logits[i, j], labels, top))


def test_equals_scikit_learn():
    logits, labels = drawn(1, 300, 7)
    assert accuracy(logits, labels).item() == pytest.approx(accuracy_score(labels, logits.argmax(-1)))
    for top in (1, 2, 3, 6):
        expected = top_k_accuracy_score(labels, logits.numpy(), k=top, labels=range(7))
        assert accuracy(logits, labels, top).item() == pytest.approx(expected)


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 6), rounding=st.booleans())
@settings(max_examples=40, deadline=None)
def test_properties(seed, classes, rounding):
    logits, labels = drawn(seed, 17, classes)
    logits = logits.round() if rounding else logits  # many ties
    by_top = [accuracy(logits, labels, k).item() for k in range(1, classes + 1)]
    assert by_top == [naive(logits, labels, k) for k in range(1, classes + 1)]
    assert by_top == sorted(by_top)
    assert by_top[-1] == 1
    assert by_top[0] == (logits.argmax(-1) == labels).double().mean().item()
    order = torch.randperm(17)
    assert accuracy(logits[order], labels[order]).item() == pytest.approx(by_top[0])


@pytest.mark.parametrize("top", [1, 3])
def test_nan_is_never_correct(top):
    logits = torch.full((3, 3), float("nan"))
    logits[1] = torch.tensor([5.0, float("nan"), 1.0])
    logits[2] = torch.tensor([0.0, float("inf"), -float("inf")])
    assert accuracy(logits, torch.tensor([0, 0, 1]), top).item() == pytest.approx(1 / 3)


def test_what_does_not_fit_is_refused():
    logits, labels = drawn(2, 4, 3)
    for bad in (labels[:1], labels.expand(2, 4), labels - 3, labels + 3):
        with pytest.raises(ValueError, match="labels"):
            accuracy(logits, bad)
    with pytest.raises(ValueError, match="binary"):
        accuracy(logits[:, :1], labels * 0)
    for top in (0, 4):
        with pytest.raises(ValueError, match=f"top={top}"):
            accuracy(logits, labels, top)


def test_no_examples_give_nan():
    assert accuracy(torch.zeros(2, 0, 3), torch.zeros(0, dtype=torch.int64)).isnan().all()
