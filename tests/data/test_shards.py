"""Which peer has the labels of which examples."""

import warnings

import pytest
import torch

from codistill.data.shards import Labels, deal_out

TEN = tuple("abcdefghij")


def labels_of(counts, group=None, groups=()):
    """So many examples of each class, mixed."""
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    return Labels(y, TEN[: len(counts)], group, groups)


def counted(labels, pieces):
    """Of each peer, how many labels of each class."""
    return [labels.y[piece].bincount(minlength=len(labels.classes)).tolist() for piece in pieces]


def disjoint(pieces):
    numbers = torch.cat(pieces).tolist()
    return len(set(numbers)) == len(numbers)


SPECS = ("equal", "classes:per=5", "classes:5", "dirichlet:alpha=0.3", "dirichlet:1.0", "table:0-4/5-9/0+2+4+6/1-9")


@pytest.mark.filterwarnings("ignore:.*of one class")
@pytest.mark.parametrize("spec", SPECS)
def test_shards_are_disjoint_and_a_function_of_the_seed(spec):
    labels = labels_of([20] * 10)
    pieces = deal_out(spec, labels, 4, 7)
    assert len(pieces) == 4
    assert disjoint(pieces)
    assert sum(map(len, pieces)) == 200
    assert all(torch.equal(a, b) for a, b in zip(pieces, deal_out(spec, labels, 4, 7), strict=True))


def test_all_peers_have_all_labels_where_there_are_no_shards():
    labels = labels_of([3, 4])
    assert [piece.tolist() for piece in deal_out("none", labels, 3, 0)] == [list(range(7))] * 3


@pytest.mark.filterwarnings("ignore:.*of one class")
@pytest.mark.parametrize(("peers", "per"), [(2, 5), (4, 5), (4, 3), (3, 4), (5, 2), (7, 2), (20, 1), (3, 10), (12, 7)])
def test_peers_have_so_many_classes_and_classes_about_as_many_owners(peers, per):
    labels = labels_of([60] * 10)
    counts = counted(labels, deal_out(f"classes:per={per}", labels, peers, 0))
    assert all(sum(n > 0 for n in own) == per for own in counts)
    for c in range(10):
        owners = [own[c] for own in counts if own[c]]
        assert peers * per // 10 <= len(owners) <= -(-peers * per // 10)
        assert sum(owners) == 60
        assert max(owners) - min(owners) <= 1


def test_four_peers_with_five_of_ten_classes():
    labels = labels_of([2] * 10)
    counts = counted(labels, deal_out("classes:per=5", labels, 4, 0))
    assert [[c for c, n in enumerate(own) if n] for own in counts] == [
        [0, 1, 2, 3, 4],
        [2, 3, 4, 5, 6],
        [5, 6, 7, 8, 9],
        [0, 1, 7, 8, 9],
    ]
    assert [sum(own) for own in counts] == [5] * 4


def test_what_does_not_divide_goes_to_those_with_fewest():
    labels = labels_of([3, 3, 3])
    counts = counted(labels, deal_out("table:0-2/0-2", labels, 2, 0))
    assert counts == [[2, 1, 2], [1, 2, 1]]


def test_a_table_gives_the_classes_that_it_names():
    labels = labels_of([6] * 5)
    with pytest.warns(UserWarning, match="all 6 labels of peer 1 are of one class, 'b'"):
        counts = counted(labels, deal_out("table:0+2/1/2-4", labels, 3, 0))
    assert counts == [[6, 0, 3, 0, 0], [0, 6, 0, 0, 0], [0, 0, 3, 6, 6]]


def naive_dirichlet(labels, peers, seed, alpha):
    """Class by class and example by example, with the same draws."""
    from torch.distributions import Dirichlet

    from codistill.randomness import generator, seeded

    mixed = torch.randperm(len(labels.y), generator=generator(seed, "shards")).tolist()
    owned = [[] for _ in range(peers)]
    with seeded(torch.device("cpu"), seed, "shards", "dirichlet"):
        shares = Dirichlet(torch.full((len(labels.classes), peers), alpha, dtype=torch.float64)).sample()
    for c in range(len(labels.classes)):
        own = [i for i in mixed if labels.y[i] == c]
        start, total = 0, 0.0
        for peer in range(peers):
            total += float(shares[c, peer])
            end = len(own) if peer == peers - 1 else round(total * len(own))
            owned[peer] += own[start:end]
            start = end
    return [sorted(numbers) for numbers in owned]


def test_dirichlet_shares_are_drawn_for_each_class():
    labels = labels_of([40, 25, 31])
    found = deal_out("dirichlet:alpha=2.0", labels, 3, 5)
    assert [piece.tolist() for piece in found] == naive_dirichlet(labels, 3, 5, 2.0)


def spread(alpha):
    labels = labels_of([500] * 4)
    counts = torch.tensor(
        counted(labels, deal_out(f"dirichlet:alpha={alpha},least=2", labels, 4, 1)), dtype=torch.float
    )
    return float((counts / 500).std())


@pytest.mark.filterwarnings("ignore:.*of one class")
def test_a_small_alpha_is_more_skewed_than_a_large_one():
    assert spread(0.2) > 2 * spread(5.0) > 4 * spread(500.0)


def test_a_dirichlet_draw_is_repeated_until_every_peer_has_enough():
    labels = labels_of([4] * 5)
    for seed in range(5):
        sizes = [len(piece) for piece in deal_out("dirichlet:alpha=0.3,least=4", labels, 3, seed)]
        assert min(sizes) >= 4
        assert sum(sizes) == 20


def test_groups_are_those_of_the_data():
    labels = labels_of([6, 6], torch.arange(12) % 3, ("north", "east", "south"))
    pieces = deal_out("groups", labels, 3, 0)
    assert [piece.tolist() for piece in pieces] == [list(range(g, 12, 3)) for g in range(3)]
    two = deal_out("groups:south/north", labels, 2, 0)
    assert [piece.tolist() for piece in two] == [list(range(2, 12, 3)), list(range(0, 12, 3))]


def test_one_class_is_enough_for_no_warning_of_several_labels():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deal_out("equal", Labels(torch.zeros(9, dtype=torch.int64), ()), 3, 0)


WRONG = {
    "classes": "shard 'classes' needs per: write per=",
    "classes:per=0": "per=0: give a whole number of at least 1",
    "classes:per=11": "classes:per=11': there are 10 classes",
    "classes:per=2": "classes:per=2': class 'c' belongs to no peer: set per to 4 or more",
    "dirichlet:alpha=0": "alpha=0: give a number above 0",
    "dirichlet:alpha=0.1,least=14": "no draw of 1000 gives each of 3 peers 14 of 40 labels",
    "table:0-4/5-9": "has rows for 2 peers, and there are 3",
    "table:0-4/5-9/0-10": "there is no class 10: they go from 0 to 9",
    "table:0-4/5-9/x": "'x' is no class: write 3, or 0-4",
    "table:4-0/5-9/1": "'4-0' is no class",
    "table:0-4/5-8/1": "class 'j' belongs to no peer: give every class to at least one",
    "groups": "the data name no groups: set the option group",
    "equel": "no shard is called 'equel': did you mean 'equal'",
    "equal:alpha=1": "no option of shard 'equal' is called 'alpha'",
}


@pytest.mark.filterwarnings("ignore:.*of one class")
@pytest.mark.parametrize("spec", WRONG)
def test_what_shards_cannot_be_is_said(spec):
    with pytest.raises(ValueError, match=WRONG[spec]):
        deal_out(spec, labels_of([4] * 10), 3, 0)


def test_groups_that_are_not_there_or_not_as_many_as_peers_are_said():
    labels = labels_of([6, 6], torch.arange(12) % 3, ("north", "east", "south", "west"))
    with pytest.raises(ValueError, match=r"4 groups \(north, east, south, west\) for 3 peers: set peers to 4"):
        deal_out("groups", labels, 3, 0)
    with pytest.raises(ValueError, match="no group of the data is called 'nord': did you mean 'north'"):
        deal_out("groups:nord/east", labels, 2, 0)
    with pytest.raises(ValueError, match="names a group twice"):
        deal_out("groups:north/north", labels, 2, 0)
    with pytest.raises(ValueError, match="shards='groups' leaves peer 3 of 4 without any of the 12 labels"):
        deal_out("groups", labels, 4, 0)


def test_more_peers_than_labels_leave_some_without_any():
    with pytest.raises(ValueError, match="shards='equal' leaves peer 0 of 5 without any of the 4 labels"):
        deal_out("equal", labels_of([2, 2]), 5, 0)


@pytest.mark.parametrize("spec", ["classes:per=2", "dirichlet:alpha=1", "table:0/1"])
def test_examples_of_several_labels_have_no_classes_to_go_by(spec):
    with pytest.raises(ValueError, match="goes by class, and these examples have several labels each"):
        deal_out(spec, Labels(torch.zeros(8, dtype=torch.int64), ()), 2, 0)
