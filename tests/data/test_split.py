from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, strategies as st

from codistill.data.examples import DataSet, Examples, Retrieval
from codistill.data.split import hold_out, limited, shares, split


def numbered(y):
    """Examples whose single pixel is their own number."""
    return Examples(torch.arange(len(y), dtype=torch.float32).view(-1, 1, 1, 1), torch.as_tensor(y))


def dataset(counts, unlabelled=0, classes=None):
    y = [c for c, n in enumerate(counts) for _ in range(n)] + [-1] * unlabelled
    y = torch.tensor(y)[torch.randperm(len(y), generator=torch.Generator().manual_seed(5))]
    test = numbered(torch.zeros(2).long())
    return DataSet(numbered(y), test, classes or len(counts), "classes", (0.0,), (1.0,), ())


def numbers(examples):
    return examples.x.flatten().long().tolist()


def test_the_parts_are_disjoint_and_complete_and_keep_their_labels():
    data = dataset([40, 30, 30], unlabelled=7)
    parts = split(data, 1, labels=30, valid=20)
    assert [len(p) for p in (parts.train, parts.valid, parts.unlabelled)] == [30, 20, 57]
    together = numbers(parts.train) + numbers(parts.valid) + numbers(parts.unlabelled)
    assert sorted(together) == list(range(107))
    for part in (parts.train, parts.valid):
        assert torch.equal(part.y, data.train.y[numbers(part)])
    assert parts.unlabelled.y.unique().tolist() == [-1]
    assert parts.test is data.test


def test_every_class_gives_its_share_and_the_same_for_every_seed():
    data = dataset([50, 30, 20])
    for seed in range(5):
        parts = split(data, seed, labels=50, valid=10)
        assert Counter(parts.train.y.tolist()) == {0: 25, 1: 15, 2: 10}
        assert Counter(parts.valid.y.tolist()) == {0: 5, 1: 3, 2: 2}


def test_the_seed_decides_who_is_drawn():
    data = dataset([50, 50])
    first, again, other = (numbers(split(data, seed, labels=20, valid=10).train) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_fewer_labels_are_a_subset_and_leave_validation_alone():
    data = dataset([50, 50])
    few, many = (split(data, 3, labels=labels, valid=10) for labels in (10, 40))
    assert set(numbers(few.train)) < set(numbers(many.train))
    assert numbers(few.valid) == numbers(many.valid)


def test_without_a_number_of_labels_all_that_have_one_are_kept():
    parts = split(dataset([10, 10], unlabelled=3), 0)
    assert (len(parts.train), len(parts.valid), len(parts.unlabelled)) == (20, 0, 3)


def test_validation_may_be_a_fraction_of_the_labelled():
    assert len(split(dataset([30, 30], unlabelled=100), 0, valid=0.25).valid) == 15


def test_a_rare_class_has_a_label_all_the_same():
    parts = split(dataset([97, 2, 1]), 0, labels=3)
    assert sorted(parts.train.y.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": 15, "valid": 6}, "labels=15, valid=6: 21 examples of 20.*lower one by 1"),
        ({"labels": 1}, "labels=1, valid=0: 1 labels for 2 classes: raise labels"),
        ({"valid": 19}, "labels=None, valid=19: 1 labels for 2 classes: lower valid"),
        ({"valid": 21}, "valid=21, but there are only 20 labelled examples: lower it"),
        ({"labels": 21, "valid": 0.1}, "labels=21, but there are only 20 labelled examples: lower it"),
        ({"valid": 1.0}, "valid=1.0: a fraction.*write 1"),
        ({"valid": -3}, "valid=-3: give a number at least 0"),
    ],
)
def test_what_cannot_be_had_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        split(dataset([10, 10], unlabelled=5), 0, **settings)


def test_validation_may_not_take_all_of_a_class():
    with pytest.raises(ValueError, match=r"valid=8 takes every example of classes \[1\]"):
        split(dataset([9, 1]), 0, labels=2, valid=8)


def test_several_labels_each_are_split_without_classes():
    y = torch.tensor([[0, 1]] * 10 + [[-1, -1]] * 4)
    part = numbered(y)
    parts = split(DataSet(part, part, 2, "multilabel", (0.0,), (1.0,), ()), 0, labels=6, valid=2)
    assert [len(p) for p in (parts.train, parts.valid, parts.unlabelled)] == [6, 2, 6]
    assert parts.unlabelled.y.tolist() == [[-1, -1]] * 6


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 2), st.data())
def test_shares_add_up_and_stay_within_one_of_the_quota(counts, least, data):
    total = data.draw(st.integers(sum(min(least, n) for n in counts), sum(counts)))
    got = shares(counts, total, least)
    assert sum(got) == total
    assert all(min(least, n) <= g <= n for g, n in zip(got, counts, strict=True))
    if not least and total:
        assert all(abs(g - total * n / sum(counts)) < 1 for g, n in zip(got, counts, strict=True))


def test_shares_name_what_can_be_asked_for():
    with pytest.raises(ValueError, match="total=1: give from 2 to 7"):
        shares([3, 4], 1, least=1)


def test_a_held_out_part_is_the_same_for_every_seed_but_differs_by_name():
    y = torch.arange(60) % 3
    train, test = hold_out("a", y, "xyz", 0.2)
    assert Counter(y[test].tolist()) == {0: 4, 1: 4, 2: 4}
    assert sorted(train.tolist() + test.tolist()) == list(range(60))
    assert torch.equal(test, hold_out("a", y, "xyz", 0.2)[1])
    assert not torch.equal(test, hold_out("b", y, "xyz", 0.2)[1])


def test_a_limit_takes_as_many_examples_with_the_classes_shares_and_is_the_same_each_time():
    data = dataset([40, 30, 30], unlabelled=7)
    small = limited(data, 10)
    assert Counter(small.train.y.tolist()) == {0: 4, 1: 3, 2: 3, -1: 7}
    assert len(small.test) == 2
    assert numbers(small.train) == numbers(limited(data, 10).train)
    assert limited(data, None) is data
    assert len(limited(data, 1000).train) == 107


def test_a_limit_of_an_open_set_takes_whole_identities_that_are_searched_for():
    identity = torch.tensor([1, 1, 1, 2, 2, 2, 3, 3, 3, 0, -1])
    query = torch.tensor([1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1]).bool()  # one of them is junk, which nobody searches for
    found = Retrieval(identity, torch.arange(11), query)
    data = replace(dataset([5, 5]), test=numbered(torch.full((11,), -1)), retrieval=found)
    small = limited(data, 7)
    assert len(small.test) == 6
    assert small.retrieval.query.sum() == 2
    chosen = numbers(small.test)
    assert torch.equal(small.retrieval.identity, identity[chosen])
    assert torch.equal(small.retrieval.camera, torch.tensor(chosen))


@pytest.mark.parametrize("limit", [1, 0, -3])
def test_a_limit_below_two_is_refused(limit):
    with pytest.raises(ValueError, match=f"limit={limit}: give at least 2"):
        limited(dataset([5, 5]), limit)
