import pytest
import torch

import naive_features as naive
from codistill.losses.features.nst import nst
from losses.side_by_side_features import check, check_edges, drawn


@pytest.mark.parametrize("channels", [(3, 3), (4, 2)])
def test_values_and_gradients_are_the_naive_ones(channels):
    mine, theirs = (drawn(i, 3, 2, c, 2, 3) for i, c in enumerate(channels))
    assert (check(nst, naive.nst, mine, theirs) > 0).all()
    check_edges(nst, mine, theirs)


def test_it_is_the_distance_of_two_sets_of_maps():
    maps = drawn(0, 2, 3, 4, 2, 2)
    for same in (maps, maps[:, :, [2, 0, 3, 1]], maps[:, :, [0, 0, 1, 1, 2, 2, 3, 3]]):  # each channel as often
        torch.testing.assert_close(nst(same, maps), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    assert (nst(maps[:, :, [0, 1, 2, 2]], maps) > 1e-3).all()


def test_channels_that_are_all_zero_have_a_finite_gradient():
    students = drawn(0, 2, 2, 3, 2, 2)
    students[:, :, 1] = 0.0
    check(nst, naive.nst, students, drawn(1, 2, 2, 3, 2, 2))
    check(nst, naive.nst, torch.zeros_like(students), drawn(1, 2, 2, 3, 2, 2))


def test_the_memory_is_that_of_pairs_of_channels():
    # 64 x 64 pairs of maps of 32 x 32: pair by pair 4M numbers a sample, as a product 4,096
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        nst(torch.randn(1, 2, 64, 32, 32).requires_grad_(), torch.randn(1, 2, 64, 32, 32))
    assert max(sizes) <= 2 * 64 * 32 * 32
