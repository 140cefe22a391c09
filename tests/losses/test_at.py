import pytest
import torch

import naive_features as naive
from codistill.losses.features.at import at, attention
from losses.side_by_side_features import check, check_edges, drawn


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("channels", [(3, 3), (4, 2)])
def test_values_and_gradients_are_the_naive_ones(channels, p):
    mine, theirs = (drawn(i, 3, 4, c, 2, 3) for i, c in enumerate(channels))
    check(at, naive.at, mine, theirs, p=p)
    check_edges(at, mine, theirs)


def test_maps_of_more_or_fewer_dims():
    check(at, naive.at, drawn(0, 2, 3, 4, 5), drawn(1, 2, 3, 2, 5))
    check(at, naive.at, drawn(0, 2, 3, 4, 2, 2, 2), drawn(1, 2, 3, 2, 2, 2, 2))


def test_attention_is_of_length_one_whatever_the_scale():
    maps = drawn(0, 2, 3, 4, 2, 2)
    torch.testing.assert_close(attention(maps).norm(dim=-1), torch.ones(2, 3, dtype=torch.float64), rtol=1e-4, atol=0)
    torch.testing.assert_close(attention(maps), attention(100.0 * maps), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_maps_that_are_all_zero_have_a_finite_gradient(p):
    students = drawn(0, 1, 2, 3, 2, 2)
    students[0, 0] = 0.0
    check(at, naive.at, students, drawn(1, 1, 2, 3, 2, 2), p=p)
    check(at, naive.at, torch.zeros(1, 2, 3, 2, 2, dtype=torch.float64), drawn(1, 1, 2, 3, 2, 2), p=p)
