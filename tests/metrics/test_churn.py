import pytest
import torch

from codistill.metrics.accuracy import accuracy
from codistill.metrics.churn import churn


def test_by_hand():
    before = torch.eye(4)[[0, 1, 2, 3, 0]]
    after = torch.eye(4)[[0, 1, 3, 0, 1]]
    labels = torch.tensor([0, 2, 2, 0, 3])  # right, wrong still, right to wrong, wrong to right, wrong to wrong
    changed, lost, gained = churn(before, after, labels)
    assert (changed.item(), lost.item(), gained.item()) == pytest.approx((3 / 5, 1 / 5, 1 / 5))


def test_every_network_by_itself_and_the_accuracy_moves_by_the_difference():
    source = torch.Generator().manual_seed(0)
    before, after = torch.randn(2, 3, 50, 4, generator=source), torch.randn(2, 3, 50, 4, generator=source)
    labels = torch.randint(4, (50,), generator=source)
    got = churn(before, after, labels)
    torch.testing.assert_close(got.gained - got.lost, accuracy(after, labels) - accuracy(before, labels))
    for i in range(2):
        for j in range(3):
            a, b = before[i, j].argmax(1).tolist(), after[i, j].argmax(1).tolist()
            rows = list(zip(a, b, labels.tolist(), strict=True))
            assert got.changed[i, j].item() == pytest.approx(sum(x != y for x, y, _ in rows) / 50)
            assert got.lost[i, j].item() == pytest.approx(sum(x == t != y for x, y, t in rows) / 50)


def test_no_class_is_a_change():
    logits = torch.eye(2)
    broken = logits.clone()
    broken[0, 1] = torch.nan
    got = churn(logits, broken, torch.tensor([0, 1]))
    assert (got.changed.item(), got.lost.item(), got.gained.item()) == (0.5, 0.5, 0.0)
    assert churn(logits, logits, torch.tensor([0, 1])).changed.item() == 0.0


def test_other_examples_are_an_error():
    with pytest.raises(ValueError, match="give both networks the same examples"):
        churn(torch.zeros(3, 2), torch.zeros(4, 2), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="labels"):
        churn(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(4, dtype=torch.long))
