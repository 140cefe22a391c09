import pytest
import torch

import naive_features as naive
from codistill.losses.features.rkd import rkd_angle, rkd_distance
from losses.side_by_side_features import check, check_edges, drawn

BOTH = pytest.mark.parametrize("loss", [rkd_distance, rkd_angle], ids=["distance", "angle"])


def reference(loss):
    return getattr(naive, loss.__name__)


@BOTH
@pytest.mark.parametrize("shapes", [((3, 4, 5), (3, 4, 5)), ((2, 5, 3), (2, 5, 7)), ((2, 4, 2, 2, 2), (2, 4, 3))])
def test_values_and_gradients_are_the_naive_ones(loss, shapes):
    mine, theirs = (drawn(i, *shape) for i, shape in enumerate(shapes))
    assert (check(loss, reference(loss), mine, theirs) > 0).all()
    check_edges(loss, mine**3, theirs)


@BOTH
def test_only_how_samples_lie_to_each_other_counts(loss):
    values = drawn(0, 2, 5, 3)
    turn, _ = torch.linalg.qr(drawn(1, 3, 3))
    moved = 7.0 * values @ turn + 3.0
    torch.testing.assert_close(loss(moved, values), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-24)


def test_each_side_is_divided_by_its_own_mean():
    # distances 0, 9, 9 of the student become 0, 1, 1, and 1, 1, 0 of the source stay: two pairs differ by 1
    students, sources = torch.tensor([[[0.0], [0.0], [9.0]]]), torch.tensor([[[0.0], [1.0], [1.0]]])
    assert rkd_distance(students, sources).item() == pytest.approx(2 * (0.5 + 0.5) / 9)


def test_the_mean_is_over_positive_distances_only():
    students = torch.tensor([[[0.0], [2.0], [4.0]]], dtype=torch.float64)
    sources = torch.tensor([[[0.0], [1.0], [1.0]]], dtype=torch.float64)
    # mean 16/6: 2, 4, 2 become 3/4, 3/2, 3/4; the source's 1, 1, 0 stay
    expected = 2 * (0.5 * 0.25**2 + 0.5 * 0.5**2 + 0.5 * 0.75**2) / 9
    assert rkd_distance(students, sources).item() == pytest.approx(expected)


@BOTH
def test_samples_with_equal_features_have_a_finite_gradient(loss):
    students = drawn(0, 2, 4, 3)
    students[:, 1] = students[:, 0]
    check(loss, reference(loss), students, drawn(1, 2, 4, 3))
    dead = torch.zeros_like(students).requires_grad_()
    value = loss(dead, drawn(1, 2, 4, 3))
    (grad,) = torch.autograd.grad(value.sum(), dead)
    assert value.isfinite().all()
    assert grad.abs().max() <= 1.0
