import pytest
import torch

import naive_features as naive
from codistill.batch import Batch
from codistill.graph import along, complete
from codistill.losses.divergences.squared_logits import squared_logits
from codistill.losses.features.squared_error import squared_error
from losses.side_by_side_features import check, check_edges, drawn


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 2, 2), (2, 3, 1)])
def test_values_and_gradients_are_the_naive_ones(shape):
    check(squared_error, naive.squared, drawn(0, *shape), drawn(1, *shape))
    check_edges(squared_error, drawn(0, *shape), drawn(1, *shape))


def test_equal_features_are_at_no_distance():
    assert not squared_error(drawn(0, 2, 3, 4), drawn(0, 2, 3, 4)).any()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_logits_are_compared_as_they_are_at_any_temperature(temperature):
    students, sources = drawn(0, 2, 3, 5), drawn(1, 2, 3, 5)
    got = squared_logits(students=students, sources=sources, temperature=temperature)
    torch.testing.assert_close(got.mean(1), torch.stack([naive.squared(students[e], sources[e]) for e in range(2)]))
    assert got.shape == (2, 3)
    shifted = squared_logits(students=sources + 2.0, sources=sources)  # the same posterior
    torch.testing.assert_close(shifted, torch.full_like(shifted, 4.0))


def test_half_precision_logits_are_compared_in_float32():
    z = torch.full((1, 1, 2), 256.0, dtype=torch.bfloat16)
    assert squared_logits(students=z, sources=z.float() + 1.0).dtype == torch.float32
    assert squared_logits(students=z, sources=z.float() + 1.0).item() == 1.0


def test_a_sample_that_the_mask_leaves_out_does_not_count():
    z = drawn(0, 2, 3, 5)
    mask = torch.tensor([1, 0, 1])
    got = along(complete(), squared_logits, students=z, sources=z, of=Batch(None, torch.zeros(0), mask=mask))
    expected = naive.squared(z[0][[0, 2]], z[1][[0, 2]])
    torch.testing.assert_close(got, torch.stack([expected, expected]))


def test_posteriors_are_no_logits():
    with pytest.raises(ValueError, match=r"SquaredLogits is of logits: give sources=; posteriors= do not say them"):
        squared_logits(students=drawn(0, 1, 2, 3), posteriors=drawn(0, 1, 2, 3).softmax(-1))
