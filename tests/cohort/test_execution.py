"""A cohort's outputs, gradients and buffers are its networks', whatever executes them."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import small_nets
from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.cohort.groups import alike

EXECUTORS = ["loop", "stack", "channels_last"]
KINDS = ["ccc", "clc", "l", "lcclc"]


def tensors(cohort):
    return [cohort.peer_state(i) for i in cohort.peers]


def gradient(cohort, peer, name):
    for leaf in cohort.leaves():
        if leaf.name == name and peer in leaf.peers:
            return leaf.tensor.grad[leaf.peers.index(peer)] if leaf.stacked else leaf.tensor.grad
    raise KeyError(name)


def assert_same_state(cohort, nets):
    for i, net in enumerate(nets):
        state = cohort.peer_state(i)
        expected = dict((*net.named_parameters(), *net.named_buffers()))
        assert state.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(state[name], tensor.detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize("kinds", KINDS)
def test_outputs_gradients_and_buffers_are_those_of_the_networks(kinds, execute):
    nets = small_nets.several(kinds)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    for step in range(3):
        x = small_nets.images(5, seed=step)
        z = cohort(x).logits
        expected = torch.stack([net(x) for net in nets])
        torch.testing.assert_close(z, expected, rtol=1e-12, atol=1e-13)
        weights = torch.randn(z.shape, generator=torch.Generator().manual_seed(step), dtype=z.dtype)
        (z * weights).sum().backward()
        (expected * weights).sum().backward()
    for i, net in enumerate(nets):
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(gradient(cohort, i, name), parameter.grad, rtol=1e-10, atol=1e-12)
    assert_same_state(cohort, nets)
    cohort.eval()
    expected = torch.stack([net.eval()(x) for net in nets])
    torch.testing.assert_close(cohort(x).logits, expected, rtol=1e-12, atol=1e-13)
    assert_same_state(cohort, nets)


def test_like_networks_are_one_stack_and_others_are_by_themselves():
    cohort = Cohort(small_nets.several("clclc"), execute="stack")
    assert [group.peers for group in cohort.parts()] == [(0, 2, 4), (1, 3)]
    assert [group.peers for group in Cohort(small_nets.several("clc")).parts()] == [(0,), (1,), (2,)]
    turns = Cohort(small_nets.several("cccc"), execute="stack", turns=[0, 1, 0, 1])
    assert [group.peers for group in turns.parts()] == [(0, 2), (1, 3)]


@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_peers_may_have_inputs_of_their_own_or_share_them_in_blocks(execute, blocks):
    nets = small_nets.several("cccc")
    x = small_nets.images(blocks, 5)
    z = Cohort(copy.deepcopy(nets), execute=execute)(PerPeer(x)).logits
    expected = torch.stack([net(x[i // (4 // blocks)]) for i, net in enumerate(nets)])
    torch.testing.assert_close(z, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_inputs_of_their_own_reach_unlike_peers(execute):
    nets = small_nets.several("clcl")
    x = small_nets.images(4, 5)
    z = Cohort(copy.deepcopy(nets), execute=execute)(PerPeer(x)).logits
    torch.testing.assert_close(z, torch.stack([n(own) for n, own in zip(nets, x, strict=True)]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_inputs_for_another_number_of_peers_are_refused(execute):
    cohort = Cohort(small_nets.several("ccc"), execute=execute)
    with pytest.raises(ValueError, match="inputs for 2 peers, or blocks of peers, were given to 3 peers"):
        cohort(PerPeer(small_nets.images(2, 5)))


@pytest.mark.parametrize("execute", EXECUTORS)
def test_inputs_may_be_mappings_and_tuples_and_outputs_objects_with_logits(execute):
    torch.manual_seed(0)
    nets = [small_nets.Pair() for _ in range(2)]
    left, right = torch.randn(2, 5, 4), torch.randn(2, 5, 2)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    shared = torch.stack([net(left[0], right[0]).logits for net in nets])
    torch.testing.assert_close(cohort((left[0], right[0])).logits, shared)
    torch.testing.assert_close(cohort({"right": right[0], "left": left[0]}).logits, shared)
    own = torch.stack([net(left[i], right[i]).logits for i, net in enumerate(nets)])
    torch.testing.assert_close(cohort(PerPeer({"right": right, "left": left})).logits, own)
    torch.testing.assert_close(cohort(PerPeer((left, right))).logits, own)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_batch_statistics_move_once_with_a_gradient_and_never_without(execute):
    cohort = Cohort(small_nets.several("ccl"), execute=execute)
    x = small_nets.images(5)

    def counts():
        return [int(t) for state in tensors(cohort) for name, t in state.items() if "num_batches" in name]

    before = copy.deepcopy(tensors(cohort))
    with torch.no_grad():
        quiet = cohort(x).logits
    for a, b in zip(before, tensors(cohort), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    loud = cohort(x).logits
    torch.testing.assert_close(quiet, loud, rtol=1e-12, atol=1e-13)  # batch statistics in both, not running ones
    assert counts() == [1] * 5
    cohort(x)
    assert counts() == [2] * 5
    cohort.eval()
    assert not torch.allclose(cohort(x).logits, loud)
    assert counts() == [2] * 5


@pytest.mark.parametrize("execute", EXECUTORS)
def test_dropout_draws_a_mask_of_its_own_for_every_peer(execute):
    layer = nn.Linear(4, 64)
    nets = [nn.Sequential(copy.deepcopy(layer), nn.Dropout(0.5)) for _ in range(2)]
    z = Cohort(nets, execute=execute)(torch.ones(1, 4)).logits
    assert ((z[0] == 0) != (z[1] == 0)).any()


@pytest.mark.parametrize("execute", EXECUTORS)
def test_tied_weights_stay_tied(execute):
    torch.manual_seed(0)
    nets = [small_nets.Tied() for _ in range(2)]
    x = torch.randn(5, 4)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    expected = torch.stack([net(x) for net in nets])
    torch.testing.assert_close(cohort(x).logits, expected)
    cohort(x).logits.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(gradient(cohort, 1, "one.weight"), nets[1].one.weight.grad)
    one = cohort.network(1)
    assert one.one.weight is one.two.weight
    torch.testing.assert_close(cohort.frozen()(x).logits, expected)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_networks_that_differ_in_a_plain_attribute_keep_it(execute):
    torch.manual_seed(0)
    nets = [small_nets.Scaled(factor) for factor in (1.0, 2.0)]
    x = torch.randn(5, 4)
    assert not alike(*nets)
    z = Cohort(copy.deepcopy(nets), execute=execute)(x).logits
    torch.testing.assert_close(z, torch.stack([net(x) for net in nets]))


def test_networks_are_alike_where_only_values_differ():
    a, b, other = *small_nets.several("cc"), small_nets.several("l")[0]
    assert alike(a, b)
    assert not alike(a, other)
    assert not alike(a, copy.deepcopy(b).float())
    assert not alike(a, small_nets.convolutional(4).double())
    frozen = copy.deepcopy(b)
    frozen[0].weight.requires_grad_(False)
    assert not alike(a, frozen)
    assert not alike(nn.Dropout(0.1), nn.Dropout(0.2))


@pytest.mark.parametrize("execute", EXECUTORS)
def test_parameters_that_are_not_trained_stay_so(execute):
    nets = small_nets.several("cc")
    for net in nets:
        net[0].weight.requires_grad_(False)
    cohort = Cohort(nets, execute=execute)
    cohort(small_nets.images(5)).logits.sum().backward()
    wants = {
        leaf.name: leaf.tensor.grad is not None for leaf in cohort.leaves() if isinstance(leaf.tensor, nn.Parameter)
    }
    assert not wants.pop("0.weight")
    assert all(wants.values())


@pytest.mark.parametrize("execute", EXECUTORS)
def test_bfloat16_gives_float32_logits_and_keeps_float32_weights(execute):
    nets = [net.float() for net in small_nets.several("cc")]
    x = small_nets.images(5).float()
    exact = Cohort(copy.deepcopy(nets), execute=execute)(x).logits
    cohort = Cohort(nets, execute=execute, precision="bfloat16")
    z = cohort(x).logits
    assert z.dtype == torch.float32
    assert {p.dtype for p in cohort.parameters()} == {torch.float32}
    assert 0.0 < (z - exact).abs().max() < 0.1  # it is not the float32 result, but near it
    z.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in cohort.parameters())


@pytest.mark.parametrize("execute", EXECUTORS)
def test_float64_is_float64_throughout(execute):
    cohort = Cohort([net.float() for net in small_nets.several("cc")], execute=execute, precision="float64")
    assert cohort(small_nets.images(5)).logits.dtype == torch.float64
    assert cohort.network(1)[0].weight.dtype == torch.float64


@pytest.mark.parametrize("execute", EXECUTORS)
def test_passes_are_counted_per_network(execute):
    cohort = Cohort(small_nets.several("ccl"), execute=execute)
    x = small_nets.images(5)
    cohort(x)
    with torch.no_grad():
        cohort[1](x)
    assert (cohort.passes.forward, cohort.passes.backward) == (4, 3)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_parameters_never_change_identity(execute):
    cohort = Cohort(small_nets.several("ccl"), execute=execute)
    before = [id(p) for p in cohort.parameters()]
    cohort(small_nets.images(5)).logits.sum().backward()
    cohort.train(False).double().requires_grad_(True)
    cohort.load_peer_state(0, cohort.peer_state(1))
    assert [id(p) for p in cohort.parameters()] == before


def test_a_loop_runs_the_given_networks_themselves():
    nets = small_nets.several("cc")
    cohort = Cohort(nets)
    assert cohort.network(1) is nets[1]
    assert {id(p) for p in cohort.parameters()} == {id(p) for net in nets for p in net.parameters()}


@pytest.mark.parametrize("execute", EXECUTORS)
def test_what_cannot_be_a_cohort_is_refused(execute):
    a, b = small_nets.several("cc")
    with pytest.raises(ValueError, match="a cohort needs at least one network"):
        Cohort([], execute=execute)
    with pytest.raises(ValueError, match="peer 2 is the very network of an earlier peer: build one network for each"):
        Cohort([a, b, a], execute=execute)
    with pytest.raises(ValueError, match="execute='stak': give 'loop' or 'stack' or 'channels_last'"):
        Cohort([a, b], execute="stak")
    with pytest.raises(ValueError, match="precision='float16': give 'float32' or 'float64' or 'bfloat16'"):
        Cohort([a, b], execute=execute, precision="float16")


class Strange(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.layer, self.answer = nn.Linear(4, 3), answer

    def forward(self, x):
        return {"dict": {"scores": self.layer(x)}, "none": SimpleNamespace(logits=None)}[self.answer]


@pytest.mark.parametrize(("answer", "kind"), [("dict", "dict of 'scores'"), ("none", "SimpleNamespace")])
def test_a_network_without_logits_is_an_error_that_says_so(answer, kind):
    with pytest.raises(TypeError, match=f"^Strange returned a {kind}: let its forward return the logits"):
        Cohort([Strange(answer)])(torch.zeros(2, 4))


@pytest.mark.parametrize("execute", EXECUTORS)
def test_peers_of_other_classes_are_an_error_that_says_so(execute):
    nets = [small_nets.convolutional(3), small_nets.convolutional(4)]
    with pytest.raises(ValueError, match="peers disagree on the shape of their logits.*for the same classes"):
        Cohort(nets, execute=execute)(torch.zeros(2, 1, 4, 4))
