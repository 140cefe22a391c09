import pytest
import torch
from sklearn.datasets import load_digits

from codistill.data.digits import digits


def test_every_digit_is_in_one_part_and_only_one():
    data = digits()
    assert (len(data.train), len(data.test)) == (1000, 797)
    ours = torch.cat([data.train.x, data.test.x]).flatten(1)
    theirs = torch.from_numpy(load_digits().data * 255 / 16).round().to(torch.uint8)
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.tolist()))


def test_bytes_keep_the_seventeen_levels_of_ink():
    x = digits().train.x
    assert x.dtype == torch.uint8
    assert x.shape[1:] == (1, 8, 8)
    assert x.unique().tolist() == [round(level * 255 / 16) for level in range(17)]


def test_the_test_set_is_stratified_and_never_changes():
    test = digits().test
    whole = torch.bincount(torch.from_numpy(load_digits().target))
    assert ((test.y.bincount() - whole * 797 / 1797).abs() < 1).all()
    # As drawn when this was written: a change here makes every published number another one.
    assert int((torch.arange(797) * test.y).sum()) == 1410723


def test_the_statistics_are_those_of_the_pool():
    data = digits()
    pixels = data.train.x.double() / 255
    assert data.mean == pytest.approx((pixels.mean().item(),))
    assert data.std == pytest.approx((pixels.std(correction=0).item(),))
