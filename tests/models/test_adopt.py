"""Weights of others, and the head that stays random."""

import warnings

import pytest
import torch
from torch import nn

from codistill.models.parts.pretrained import NewHead, adopt


def net(classes, hidden=6, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, classes))


def same(a, b, name):
    return torch.equal(a.state_dict()[name], b.state_dict()[name])


def test_everything_is_taken_where_the_classes_are_the_same():
    own, theirs = net(3), net(3, seed=1)
    theirs[1].running_mean += 2.0
    adopt("start=x", own, theirs.state_dict(), 3)
    assert all(same(own, theirs, name) for name in theirs.state_dict())
    assert all(p.requires_grad for p in own.parameters())


def test_a_head_for_other_classes_stays_and_is_said():
    own, before, theirs = net(3), net(3), net(5, seed=1)
    with pytest.warns(NewHead, match=r"start=x is for 5 classes, not 3: 3\.weight, 3\.bias begin at random"):
        adopt("start=x", own, theirs.state_dict(), 3)
    assert same(own, before, "3.weight")
    assert same(own, before, "3.bias")
    assert all(same(own, theirs, name) for name in theirs.state_dict() if name[0] != "3")
    assert not same(own, before, "0.weight")


def test_two_heads_for_the_same_other_classes_stay():
    class Heads(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.side, self.body, self.fc = nn.Linear(4, classes), nn.Linear(4, 4), nn.Linear(4, classes)

    own, theirs = Heads(3), Heads(5)
    with pytest.warns(NewHead, match="side.weight, side.bias, fc.weight, fc.bias begin"):
        adopt("start=x", own, theirs.state_dict(), 3)
    assert same(own, theirs, "body.weight")


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (net(3, hidden=7), r"start=x: '0.weight' has shape \[7, 4\] there and \[6, 4\] in this network: .*options"),
        (net(5, hidden=7), r"start=x: '0.weight' has shape \[7, 4\] there and \[6, 4\]"),
        (nn.Sequential(*net(3)[:3]), r"start=x: '3.weight' is not in it: give the weights of such a network"),
        (nn.Sequential(*net(3), nn.Linear(3, 2)), r"start=x: '4.weight' is not in this network"),
    ],
)
def test_any_other_difference_is_an_error_and_changes_nothing(theirs, message):
    own, before = net(3), net(3)
    with pytest.raises(ValueError, match=message):
        adopt("start=x", own, theirs.state_dict(), 3)
    assert all(same(own, before, name) for name in own.state_dict())


def test_a_hidden_layer_as_wide_as_there_are_classes_is_no_head():
    """Its first dim is the class count, but the next layer does not fit either."""
    with pytest.raises(ValueError, match=r"'0.weight' has shape \[5, 4\] there and \[6, 4\]"):
        adopt("start=x", net(6), net(6, hidden=5).state_dict(), 6)


def test_heads_for_two_other_counts_are_no_head():
    own, theirs = nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3)]), nn.ModuleList([nn.Linear(2, 4), nn.Linear(2, 5)])
    with pytest.raises(ValueError, match=r"'0.weight' has shape \[4, 2\]"):
        adopt("start=x", own, theirs.state_dict(), 3)


def test_what_is_absent_stays_and_is_said():
    own, before, theirs = net(3), net(3), net(3, seed=1)
    state = {name: t for name, t in theirs.state_dict().items() if name[0] != "3"}
    with pytest.warns(NewHead, match="start=x does not have everything: 3.bias, 3.weight begin at random"):
        adopt("start=x", own, state, 3, absent={"3.weight", "3.bias"})
    assert same(own, before, "3.weight")
    assert same(own, theirs, "0.weight")


def test_a_tied_weight_may_come_under_one_of_its_names():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 3, bias=False)
            self.b = nn.Linear(3, 3, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("places", torch.arange(3), persistent=False)

    own, theirs = Tied(), Tied()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adopt("start=x", own, {"a.weight": theirs.a.weight}, 7)  # a state dict has no "places" either
        assert torch.equal(own.b.weight, theirs.a.weight)
        adopt("start=x", own, {"a.weight": own.a.weight, "places": torch.tensor([2, 1, 0])}, 7)  # our checkpoints do
    assert own.places.tolist() == [2, 1, 0]
