"""Views of some peers, and what a step remembers."""

import copy

import pytest
import torch
from torch import nn

import small_nets
from codistill.batch import Inputs, PerPeer, value_of
from codistill.cohort import Cohort

EXECUTORS = ["loop", "stack"]
CHOICES = [[0], [2], [1, 2], [2, 0], [3, 2, 1, 0], [1, 3], [0, 1, 2, 3]]


@pytest.fixture(params=EXECUTORS)
def pair(request):
    """Four networks, the second of another kind, and a cohort of copies."""
    nets = small_nets.several("clcc")
    return nets, Cohort(copy.deepcopy(nets), execute=request.param)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("chosen", CHOICES)
def test_a_view_gives_its_peers_in_its_order(pair, chosen):
    nets, cohort = pair
    x = small_nets.images(5)
    view = cohort[chosen]
    close(view(x).logits, torch.stack([nets[i](x) for i in chosen]))
    for i in range(4):  # statistics moved for these peers and for no others
        state = cohort.peer_state(i)
        for name, buffer in nets[i].named_buffers():
            close(state[name], buffer)
    assert len(view) == len(chosen)
    assert view.peers == tuple(chosen)
    assert cohort.passes.forward == len(chosen)


@pytest.mark.parametrize("chosen", CHOICES)
def test_a_views_gradient_is_its_peers_own(pair, chosen):
    nets, cohort = pair
    x = small_nets.images(5)
    cohort[chosen](x).logits.square().sum().backward()
    for i in chosen:
        nets[i](x).square().sum().backward()
    for leaf in cohort.leaves():
        if not isinstance(leaf.tensor, torch.nn.Parameter):
            continue
        for row, peer in enumerate(leaf.peers):
            expected = dict(nets[peer].named_parameters())[leaf.name].grad
            grad = leaf.tensor.grad
            grad = grad[row] if grad is not None and leaf.stacked else grad
            if expected is None:  # in a stack, a peer that nobody asked has a gradient of zero
                assert grad is None or not grad.any()
            else:
                close(grad, expected)


@pytest.mark.parametrize("chosen", CHOICES)
def test_inputs_of_their_own_follow_the_views_order(pair, chosen):
    nets, cohort = pair
    x = small_nets.images(len(chosen), 5)
    close(cohort[chosen](PerPeer(x)).logits, torch.stack([nets[i](own) for i, own in zip(chosen, x, strict=True)]))


def test_views_of_views_number_anew(pair):
    nets, cohort = pair
    x = small_nets.images(5)
    view = cohort[[3, 1, 2]]
    assert view[1].peers == (1,)
    assert view[1:].peers == (1, 2)
    assert view[[2, 0]].peers == (2, 3)
    close(view[[2, 0]][::-1](x).logits, torch.stack([nets[3](x), nets[2](x)]))
    torch.testing.assert_close(view.peer_state(1), cohort.peer_state(1))
    torch.testing.assert_close(view.network(0)[0].weight, nets[3][0].weight)


def test_slices_and_single_peers(pair):
    _, cohort = pair
    assert cohort[1:3].peers == (1, 2)
    assert cohort[:].peers == (0, 1, 2, 3)
    assert cohort[2].peers == (2,)
    for wrong in (4, [0, 4], [], slice(4, 9)):
        with pytest.raises(IndexError, match="of a cohort of 4"):
            cohort[wrong]


def test_without_remembering_every_call_is_a_pass(pair):
    _, cohort = pair
    x = small_nets.images(5)
    cohort(x)
    cohort(x)
    assert cohort.passes.forward == 8


def test_what_is_remembered_is_computed_once(pair):
    nets, cohort = pair
    x = Inputs(small_nets.images(5))
    with cohort.remember():
        first, again = cohort(x).logits, cohort(x).logits
        assert cohort.passes.forward == 4
        other = cohort(Inputs(small_nets.images(5, seed=1))).logits
        assert cohort.passes.forward == 8
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    cohort(x)
    assert cohort.passes.forward == 12
    close(first, torch.stack([net(x.value) for net in nets]))
    assert {int(t) for n, t in cohort.peer_state(0).items() if "num_batches" in n} == {3}


def test_remembered_outputs_do_not_outlive_the_step_even_when_weights_move(pair):
    _, cohort = pair
    x = Inputs(small_nets.images(5))
    with cohort.remember():
        old = cohort(x).logits.detach()
    with torch.no_grad():
        for p in cohort.parameters():
            p.add_(0.1)
    with cohort.remember():
        assert not torch.allclose(cohort(x).logits, old)


def test_a_pass_without_gradient_does_not_stand_in_for_one_with(pair):
    _, cohort = pair
    x = Inputs(small_nets.images(5))
    with cohort.remember():
        with torch.no_grad():
            assert not cohort(x).logits.requires_grad
        assert cohort(x).logits.requires_grad


def test_refresh_computes_again_with_the_new_weights_and_leaves_the_others(pair):
    _, cohort = pair
    x = Inputs(small_nets.images(5))
    with cohort.remember() as cache:
        old = cohort(x).logits.detach()
        statistics = {n: t.clone() for n, t in cohort.peer_state(0).items() if "running" in n}
        group = cohort.parts()[0]
        with torch.no_grad():
            for leaf in group.leaves():
                if isinstance(leaf.tensor, torch.nn.Parameter):
                    leaf.tensor.add_(0.1)
        cache.refresh([group])
        new = cohort(x).logits
        for i in range(4):
            assert torch.equal(new[i], old[i]) == (i not in group.peers)
    assert all(torch.equal(cohort.peer_state(0)[n], t) for n, t in statistics.items())
    with torch.no_grad():
        close(cohort(x).logits, new)


def test_handles_of_one_whole_share_its_pass(pair):
    nets, cohort = pair
    x = small_nets.images(4, 5)
    whole = Inputs(PerPeer(x), owners=cohort.peers)
    first, second = Inputs(PerPeer(x[:2]), whole), Inputs(PerPeer(x[[3, 2]]), whole)
    with cohort.remember(whole):
        a, b = cohort[:2](first).logits, cohort[[3, 2]](second).logits
    assert cohort.passes.forward == 4
    close(torch.cat([a, b]), torch.stack([nets[i](x[i]) for i in (0, 1, 3, 2)]))


def test_a_wholes_pass_of_some_peers_runs_no_others(pair):
    nets, cohort = pair
    x = small_nets.images(3, 5)
    batch, view = Inputs(x[0], owners=cohort.peers), Inputs(PerPeer(x), owners=(0, 1, 3))
    with cohort.remember(batch):
        a = cohort[:2](Inputs(PerPeer(x[:2]), view)).logits
        b = cohort[[3]](Inputs(x[2], view)).logits
    assert cohort.passes.forward == 3
    close(torch.cat([a, b]), torch.stack([nets[i](x[n]) for n, i in enumerate((0, 1, 3))]))


def test_a_cohort_that_a_handle_does_not_speak_of_takes_its_value(pair):
    nets, cohort = pair
    x = Inputs(small_nets.images(5), Inputs(PerPeer(small_nets.images(9, 5)), owners=tuple(range(9))))
    with cohort.remember():
        z = cohort(x).logits
        assert torch.equal(cohort(x).logits, z)
    assert cohort.passes.forward == 4
    close(z, torch.stack([net(x.value) for net in nets]))


def test_what_is_no_handle_is_a_pass_of_its_own_that_leaves_buffers_alone(pair):
    nets, cohort = pair
    x = small_nets.images(5)
    before = {i: {n: t.clone() for n, t in cohort.peer_state(i).items()} for i in cohort.peers}
    with cohort.remember():
        first, again = cohort(x).logits, cohort(x).logits
    assert cohort.passes.forward == cohort.passes.backward == 8
    assert first.requires_grad
    assert torch.equal(first, again)
    close(first, torch.stack([net(x) for net in nets]))
    for i in cohort.peers:
        assert all(torch.equal(t, before[i][n]) for n, t in cohort.peer_state(i).items())


@pytest.mark.parametrize(
    "operate",
    [
        lambda x: x + 0,
        lambda x: 2 * x,
        lambda x: x[0],
        lambda x: torch.flip(x, [0]),
        lambda x: torch.nn.functional.pad(x, (1, 1)),
        lambda x: x.float(),
        lambda x: x.shape,
    ],
)
def test_an_operation_on_a_handle_says_what_to_do(operate):
    with pytest.raises((TypeError, AttributeError), match="give it to a cohort as it is.*tensors are batch.x.value"):
        operate(Inputs(torch.zeros(2, 3)))


def test_the_latest_logits_are_those_of_the_last_call(pair):
    _, cohort = pair
    with pytest.raises(ValueError, match=r"peer 0 has predicted nothing yet: call the cohort first"):
        cohort.latest()
    z = cohort(small_nets.images(5)).logits
    assert torch.equal(cohort.latest(), z)
    assert not cohort.latest().requires_grad
    assert torch.equal(cohort[[2, 1]].latest(), z[[2, 1]])
    other = cohort[[1, 3]](small_nets.images(5, seed=1)).logits
    assert torch.equal(cohort.latest(), torch.stack([z[0], other[0], z[2], other[1]]))


def test_in_a_step_the_latest_logits_are_those_of_its_batch_and_of_who_learned(pair):
    _, cohort = pair
    batch, view = (Inputs(small_nets.images(5, seed=seed), owners=cohort.peers) for seed in (0, 1))
    group, *others = cohort.parts()
    with cohort.remember(batch) as cache:
        cache.learning = frozenset([group])
        z = cohort(batch).logits
        cohort(view)
        with torch.no_grad():
            cohort(batch)
        cohort(value_of(view))
        assert torch.equal(cohort[list(group.peers)].latest(), z[list(group.peers)])
        with pytest.raises(ValueError, match="predicted nothing yet"):
            cohort.latest()
        cache.learning = frozenset(others)
        cohort(batch)
        assert torch.equal(cohort.latest(), z)


def test_a_wholes_pass_gives_a_view_its_own_features_only(pair):
    nets, cohort = pair
    cohort[[0, 1]].tap("features", ["7", "1"])
    x = small_nets.images(5)
    batch = Inputs(x, owners=cohort.peers)
    with cohort.remember(batch):
        features = cohort[[0, 1]](batch).features["features"]
        assert cohort[[2, 3]](batch).features == {}
    assert cohort.passes.forward == 4
    assert isinstance(features, list)
    close(features[0], nets[0][:8](x))
    close(features[1], nets[1][:2](x))


def test_passes_of_groups_that_are_not_active_carry_no_gradient_and_keep_statistics(pair):
    _, cohort = pair
    x = Inputs(small_nets.images(5))
    group, *others = cohort.parts()
    before = {i: {n: t.clone() for n, t in cohort.peer_state(i).items()} for i in cohort.peers}
    with cohort.remember(active=frozenset([group])):
        cohort(x).logits.sum().backward()
    for leaf in cohort.leaves():
        if isinstance(leaf.tensor, torch.nn.Parameter):
            assert (leaf.tensor.grad is not None) == (set(leaf.peers) <= set(group.peers))
    for i in cohort.peers:
        same = all(torch.equal(t, before[i][n]) for n, t in cohort.peer_state(i).items())
        assert same == (i not in group.peers)
    assert others
    assert cohort.passes.backward == len(group.peers)


def test_other_peers_shapes_do_not_change_what_a_view_gets(pair):
    _, cohort = pair
    cohort.tap("features", ["7", "1", "7", "7"])  # [5, 6] and [5, 5]
    x = Inputs(small_nets.images(5), owners=cohort.peers)
    with cohort.remember(x):
        like = cohort[[0, 2, 3]](x).features["features"]
        assert isinstance(cohort(x).features["features"], list)
    assert isinstance(like, torch.Tensor)
    assert like.shape == (3, 5, 6)


def test_two_passes_of_some_of_a_stack_go_before_one_backward_pass():
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)) for _ in range(4)]
    loop, stack = Cohort(copy.deepcopy(nets)), Cohort(copy.deepcopy(nets), execute="stack")
    x, other = torch.randn(5, 3), torch.randn(5, 3)
    for cohort in (loop, stack):
        (cohort(x).logits.sum() + cohort[1:3](other).logits.square().sum()).backward()
    for peer in range(4):
        for name, tensor in loop.peer_state(peer).items():
            torch.testing.assert_close(stack.peer_state(peer)[name], tensor)
