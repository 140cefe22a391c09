import torch

import naive_features as naive
from codistill.losses.features.afd import afd
from losses.side_by_side_features import check, check_edges, drawn


def test_values_and_gradients_are_the_naive_ones():
    shape = (3, 4, 5, 2, 3)
    weights = drawn(2, *shape[:3]).softmax(-1)
    check(afd, naive.afd, drawn(0, *shape), drawn(1, *shape), weights)
    check_edges(afd, drawn(0, *shape) ** 3, drawn(1, *shape), weights)


def test_equal_weights_are_the_mean_over_channels():
    students, sources = drawn(0, 2, 3, 4, 2, 2), drawn(1, 2, 3, 4, 2, 2)
    equal = torch.full((2, 3, 4), 0.25, dtype=torch.float64)
    units = [m / m.flatten(3).norm(dim=-1)[..., None, None] for m in (students, sources)]
    torch.testing.assert_close(
        afd(students, sources, equal), (units[0] - units[1]).square().flatten(1).mean(1), rtol=1e-5, atol=0
    )


def test_the_scale_of_a_map_does_not_count():
    students, weights = drawn(0, 2, 3, 4, 2, 2), drawn(2, 2, 3, 4).softmax(-1)
    assert afd(students, 100.0 * students, weights).max() < 1e-9


def test_a_map_that_is_all_zero_has_a_gradient_of_ordinary_size():
    students = drawn(0, 1, 2, 3, 2, 2)
    students[:, :, 0] = 0.0
    students.requires_grad_()
    (grad,) = torch.autograd.grad(afd(students, drawn(1, 1, 2, 3, 2, 2), drawn(2, 1, 2, 3).softmax(-1)).sum(), students)
    assert grad.abs().max() < 1.0
