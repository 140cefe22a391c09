import pytest
import torch

from codistill.losses.average import average


def test_the_mean_of_every_peer_by_itself():
    values = torch.tensor([[1.0, 3.0], [10.0, 20.0]])
    assert average(values).tolist() == [2.0, 15.0]
    assert average(values.view(2, 1, 2)).tolist() == [2.0, 15.0]


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_what_the_mask_leaves_out_is_neither_summed_nor_counted(dtype):
    values = torch.tensor([[1.0, 3.0, 100.0], [10.0, 20.0, 100.0]])
    assert average(values, torch.tensor([1, 1, 0]).to(dtype)).tolist() == [2.0, 15.0]
    assert average(values, torch.tensor([[1, 0, 0], [0, 1, 1]]).to(dtype)).tolist() == [1.0, 60.0]


def test_a_peer_with_nothing_to_average_has_a_zero_with_a_gradient_of_zero():
    values = torch.ones(2, 3, requires_grad=True)
    mean = average(values, torch.tensor([[0, 0, 0], [1, 1, 0]]))
    assert mean.tolist() == [0.0, 1.0]
    mean.sum().backward()
    assert values.grad.tolist() == [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_left_out_may_be_anything(bad):
    assert average(torch.tensor([[bad, 2.0]]), torch.tensor([0, 1])).tolist() == [2.0]
    assert not average(torch.tensor([[bad, 2.0]]), torch.tensor([1, 1])).isfinite().any()


def test_weights_between_zero_and_one_make_a_weighted_mean_however_small_their_sum():
    values = torch.tensor([[1.0, 3.0, 8.0]])
    assert average(values, torch.tensor([1.0, 0.5, 0.0])).item() == pytest.approx(2.5 / 1.5)
    assert average(values, torch.tensor([0.1, 0.1, 0.0])).item() == pytest.approx(2.0)
