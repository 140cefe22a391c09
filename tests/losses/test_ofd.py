import pytest
import torch

import naive_features as naive
from codistill.losses.features.ofd import clipped, ofd
from losses.side_by_side_features import check, check_edges, drawn


@pytest.mark.parametrize("shape", [(3, 4, 3, 2, 2), (2, 5, 3), (2, 3, 2, 4)])
def test_values_and_gradients_are_the_naive_ones(shape):
    check(ofd, naive.ofd, drawn(0, *shape), drawn(1, *shape))
    check_edges(ofd, drawn(0, *shape), drawn(1, *shape))


def test_the_margin_is_of_a_channel_and_of_its_negative_values_only():
    sources = torch.tensor([[[-1.0, 5.0], [-3.0, 7.0], [8.0, 0.0]]])  # [E 1, B 3, C 2]
    assert clipped(sources).tolist() == [[[-1.0, 5.0], [-2.0, 7.0], [8.0, 0.0]]]
    assert clipped(-sources).tolist() == [[[1.0, -5.0], [3.0, -6.0], [-8.0, 0.0]]]


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        (-1.9, 0.1),  # between the source and its margin: the clipped -2 is imitated
        (-2.0, 0.0),  # at the margin
        (-2.5, 0.0),  # above the source -3 but below the clipped -2: left alone
        (-9.0, 0.0),  # below both: the ReLU would cut off either
        (1.0, 3.0),
    ],
)
def test_the_mask_goes_by_the_clipped_source(student, expected):
    sources = torch.tensor([-3.0, -1.0, 4.0], dtype=torch.float64).view(1, 3, 1)
    students = torch.tensor([student, -1.0, 4.0], dtype=torch.float64).view(1, 3, 1).requires_grad_()
    value = ofd(students, sources)
    assert value.item() == pytest.approx(expected**2 / 3)
    (grad,) = torch.autograd.grad(value.sum(), students)
    assert grad[0, 0, 0].item() == pytest.approx(2 * expected / 3)


def test_a_student_below_a_positive_source_is_pulled_up_and_zero_is_no_positive_source():
    students = torch.tensor([-5.0, -5.0, -5.0], dtype=torch.float64).view(1, 3, 1)
    sources = torch.tensor([2.0, 0.0, -1.0], dtype=torch.float64).view(1, 3, 1)
    assert ofd(students, sources).item() == pytest.approx(7.0**2 / 3)


def test_a_channel_without_negative_values_has_the_margin_zero():
    sources = drawn(0, 2, 3, 2, 2).abs()
    assert torch.equal(clipped(sources), sources)
    check(ofd, naive.ofd, drawn(1, 2, 3, 2, 2), sources)
