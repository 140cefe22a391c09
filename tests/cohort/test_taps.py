"""Features by submodule name."""

import copy

import pytest
import torch
from torch import nn

import small_nets
from codistill.batch import Inputs
from codistill.cohort import Cohort
from codistill.spec import UnknownName

EXECUTORS = ["loop", "stack", "channels_last"]


@pytest.fixture(params=EXECUTORS)
def execute(request):
    return request.param


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_a_feature_is_what_comes_out_of_the_submodule(execute):
    nets = small_nets.several("ccc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort.tap("4")
    cohort.tap("hidden", "7")
    x = small_nets.images(5)
    outputs = cohort(x)
    assert set(outputs.features) == {"4", "hidden"}
    close(outputs.features["4"], torch.stack([net[:5](x) for net in copy.deepcopy(nets)]))
    close(outputs.features["hidden"], torch.stack([net[:8](x) for net in copy.deepcopy(nets)]))
    close(outputs.logits, torch.stack([net(x) for net in nets]))


def test_input_is_what_goes_in_and_in_place_activations_do_not_write_over_it(execute):
    nets = small_nets.several("cc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort.tap("before", "1")  # the batch norm before the in-place ReLU
    cohort.tap("into", "2:input")
    cohort.tap("after", "2")
    x = small_nets.images(5)
    features = cohort(x).features
    before = torch.stack([net[:2](x) for net in nets])
    close(features["before"], before)
    close(features["into"], before)
    close(features["after"], before.relu())
    assert (features["before"] < 0).any()


def test_a_feature_carries_its_gradient_into_the_layers_before_it(execute):
    nets = small_nets.several("cc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort.tap("1")
    x = small_nets.images(5)
    cohort(x).features["1"].square().sum().backward()
    for net in nets:
        net[:2](x).square().sum().backward()
    grads = {(leaf.name, peer): leaf for leaf in cohort.leaves() for peer in leaf.peers}
    for i, net in enumerate(nets):
        leaf = grads["0.weight", i]
        close(leaf.tensor.grad[i] if leaf.stacked else leaf.tensor.grad, net[0].weight.grad)
        last = grads["8.weight", i].tensor.grad
        assert last is None or last.abs().max() == 0.0


def test_two_names_for_one_submodule(execute):
    cohort = Cohort(small_nets.several("cc"), execute=execute)
    cohort.tap("a", "4")
    cohort.tap("b", "4")
    features = cohort(small_nets.images(5)).features
    assert torch.equal(features["a"], features["b"])


def test_unlike_peers_name_their_own_and_other_shapes_come_as_a_list(execute):
    nets = small_nets.several("clc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort.tap("hidden", ["7", "2", "7"])
    cohort.tap("same", ["8", "3", "8"])
    outputs = cohort(small_nets.images(5))
    assert isinstance(outputs.features["hidden"], list)
    assert [tuple(f.shape) for f in outputs.features["hidden"]] == [(5, 6), (5, 5), (5, 6)]
    close(outputs.features["hidden"][2], nets[2][:8](small_nets.images(5)))
    close(outputs.features["same"], outputs.logits)
    with pytest.raises(ValueError, match="feature 'hidden': 2 submodules for 3 peers"):
        cohort.tap("hidden", ["7", "2"])


def test_features_follow_the_views_order(execute):
    nets = small_nets.several("ccc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort.tap("4")
    x = small_nets.images(5)
    close(cohort[[2, 0]](x).features["4"], torch.stack([nets[i][:5](x) for i in (2, 0)]))


def test_like_peers_may_be_tapped_in_two_places(execute):
    nets = small_nets.several("cc")
    x = small_nets.images(5)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort.tap("f", ["7", "6"])
    cohort.tap("g", ["4", "7"])
    features = cohort(x).features
    close(features["f"], torch.stack([nets[0][:8](x), copy.deepcopy(nets[1])[:7](x)]))
    assert [tuple(f.shape[1:]) for f in features["g"]] == [tuple(nets[0][:5](x).shape[1:]), (6,)]


def test_one_name_may_be_another_submodule_for_other_peers_of_a_stack(execute):
    nets = small_nets.several("ccc")
    x = small_nets.images(5)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort[:2].tap("f", "7")
    cohort[[2]].tap("f", "4")
    batch = Inputs(x, owners=cohort.peers)
    with cohort.remember(batch):
        one, two = cohort[:2](batch).features["f"], cohort[[2]](batch).features["f"]
    assert cohort.passes.forward == 3
    close(one, torch.stack([net[:8](x) for net in copy.deepcopy(nets[:2])]))
    close(two, nets[2][:5](x).unsqueeze(0))


def test_features_of_one_call_take_the_place_of_those_tapped(execute):
    nets = small_nets.several("cc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    cohort.tap("4", "1")
    x = small_nets.images(5)
    features = cohort.outputs(x, (1,), {"4": "4"}).features
    close(features["4"], nets[1][:5](x).unsqueeze(0))
    assert cohort.outputs(x, (1,), {}).features == {}


def test_a_submodule_that_runs_twice_is_an_error_that_says_so(execute):
    cohort = Cohort([small_nets.Twice() for _ in range(2)], execute=execute)
    cohort.tap("act")
    with pytest.raises(ValueError, match="feature 'act': this submodule runs twice in one forward pass"):
        cohort(torch.zeros(2, 4))


def test_a_submodule_that_does_not_run_is_an_error_that_says_so(execute):
    cohort = Cohort([small_nets.Twice() for _ in range(2)], execute=execute)
    cohort.tap("unused")
    with pytest.raises(ValueError, match="feature 'unused': this submodule did not run in the forward pass"):
        cohort(torch.zeros(2, 4))


@pytest.mark.parametrize("side", ["", ":input"])
def test_a_misspelt_submodule_gets_the_nearest(execute, side):
    cohort = Cohort([small_nets.Twice() for _ in range(2)], execute=execute)
    cohort.tap(f"onne{side}")
    with pytest.raises(UnknownName, match="no submodule of Twice is called 'onne': did you mean 'one'"):
        cohort(torch.zeros(2, 4))


class Tuples(nn.Module):
    """A recurrent layer gives a tuple, a mapping is no feature."""

    def __init__(self):
        super().__init__()
        self.lstm, self.table, self.head = nn.LSTM(4, 6, batch_first=True), Table(), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.table(self.lstm(x)[0][:, -1])["h"])


class Table(nn.Module):
    def forward(self, h):
        return {"h": h}


def test_of_a_tuple_the_first_is_the_feature_and_a_mapping_is_none():
    net = Tuples()
    cohort = Cohort([net])
    cohort.tap("lstm")
    x = torch.randn(2, 5, 4)
    torch.testing.assert_close(cohort(x).features["lstm"], net.lstm(x)[0].unsqueeze(0))
    cohort.tap("table")
    with pytest.raises(TypeError, match="feature 'table' is a dict, not a tensor"):
        cohort(x)


def test_taps_leave_no_hooks_behind(execute):
    nets = [small_nets.Twice() for _ in range(2)]
    cohort = Cohort(nets, execute=execute)
    for tap, works in (("one", True), ("act", False)):
        cohort.taps.clear()
        cohort.tap(tap)
        if works:
            cohort(torch.zeros(2, 4))
        else:
            with pytest.raises(ValueError, match="runs twice"):
                cohort(torch.zeros(2, 4))
        for module in cohort.network(0).modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks


class ByKeyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(input=x)


def test_an_input_that_is_given_by_keyword_is_an_error_that_says_so(execute):
    cohort = Cohort([ByKeyword(), ByKeyword()], execute=execute)
    cohort.tap("layer:input")
    with pytest.raises(ValueError, match="feature 'layer:input': this Linear is given its input by keyword"):
        cohort(torch.zeros(2, 4))
