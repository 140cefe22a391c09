"""Frozen copies, what is shared, and peers' state."""

import copy

import pytest
import torch
from torch import nn

import small_nets
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods.kd import KD

EXECUTORS = ["loop", "stack", "channels_last"]


@pytest.fixture(params=EXECUTORS)
def execute(request):
    return request.param


def move(cohort, by=0.1):
    with torch.no_grad():
        for p in cohort.parameters():
            p.add_(by)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def test_a_frozen_copy_does_not_follow_and_has_no_gradients(execute):
    cohort = Cohort(small_nets.several("clc"), execute=execute)
    x = small_nets.images(5)
    copied = cohort.frozen()
    before = copied(x).logits
    close(before, copy.deepcopy(cohort).eval()(x).logits)
    assert not before.requires_grad
    assert not any(p.requires_grad for p in copied.parameters())
    assert all(p.requires_grad for p in cohort.parameters())
    move(cohort)
    cohort(x)  # moves the cohort's statistics
    assert torch.equal(copied(x).logits, before)
    assert copied.fixed
    assert not cohort.fixed
    assert cohort.training
    copied(x.clone().requires_grad_()).logits.sum().backward()
    assert all(p.grad is None for p in copied.parameters())
    assert copied.passes.backward == 0


class Owner(nn.Module):
    def __init__(self, teacher):
        super().__init__()
        self.teacher = teacher


def test_a_frozen_copy_stays_in_eval_mode_whoever_calls_train(execute):
    cohort = Cohort(small_nets.several("cc"), execute=execute)
    cohort(small_nets.images(5))
    copied = cohort.frozen()
    x = small_nets.images(5, seed=1)
    before = copied(x).logits
    for call in (copied.train, Owner(copied).train, KD(copied).train):
        call()
        assert not copied.training
        assert not any(m.training for m in copied.modules())
        assert torch.equal(copied(x).logits, before)
    statistics = [t for state in map(copied.peer_state, copied.peers) for n, t in state.items() if "num_batches" in n]
    assert {int(t) for t in statistics} == {1}


@pytest.mark.parametrize("chosen", [[1], [2, 0], [3, 1, 0], [0, 1, 2, 3]])
def test_a_frozen_view_has_its_peers_in_its_order(execute, chosen):
    nets = small_nets.several("clcc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    copied = cohort[chosen].frozen()
    assert len(copied) == len(chosen)
    x = small_nets.images(5)
    close(copied(x).logits, torch.stack([nets[i].eval()(x) for i in chosen]))
    for place, i in enumerate(chosen):
        torch.testing.assert_close(copied.peer_state(place), cohort.peer_state(i))


def test_a_frozen_cohort_keeps_its_precision(execute):
    cohort = Cohort([n.float() for n in small_nets.several("cc")], execute=execute, precision="bfloat16")
    x = small_nets.images(5).float()
    torch.testing.assert_close(cohort.frozen()(x).logits, cohort.eval()(x).logits, rtol=0, atol=0)


def test_what_is_shared_is_detached_and_equal(execute):
    cohort = Cohort(small_nets.several("cc"), execute=execute)
    z = cohort(small_nets.images(5)).logits
    for owner in (cohort, cohort[:]):
        assert z.requires_grad
        assert not owner.share(z).requires_grad
        assert torch.equal(owner.share(z), z)
        assert not any(t.requires_grad for t in owner.share([z, z * 2.0]))


def test_only_a_moving_copy_follows(execute):
    cohort = Cohort(small_nets.several("clc"), execute=execute)
    x = small_nets.images(5)
    copied = cohort.frozen(moving=True)
    start = {i: {n: t.clone() for n, t in copied.peer_state(i).items()} for i in copied.peers}
    move(cohort)
    cohort(x)
    copied.follow(cohort, decay=0.75)
    for i in cohort.peers:
        parameters = {name for name, _ in cohort.network(i).named_parameters()}
        for name, theirs in cohort.peer_state(i).items():
            expected = 0.75 * start[i][name] + 0.25 * theirs if name in parameters else theirs
            close(copied.peer_state(i)[name], expected)
        assert {n for n in start[i] if "running" in n or "num_batches" in n} == set(start[i]) - parameters
    copied.follow(cohort)
    torch.testing.assert_close(copied.peer_state(1), cohort.peer_state(1), rtol=0, atol=0)
    for wrong in (cohort, cohort.frozen()):
        with pytest.raises(ValueError, match=r"only a copy that was made by frozen\(moving=True\) follows"):
            wrong.follow(cohort)


# State --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", EXECUTORS)
def test_states_go_from_any_executor_to_any_other(execute, other):
    source = Cohort(small_nets.several("clc", seed=1), execute=execute)
    source(small_nets.images(5))
    target = Cohort(small_nets.several("clc", seed=2), execute=other)
    x = small_nets.images(5, seed=1)
    assert not torch.allclose(source(x).logits, target(x).logits)
    for i in source.peers:
        target.load_peer_state(i, source.peer_state(i))
    close(target.eval()(x).logits, source.eval()(x).logits)


def test_a_state_has_the_networks_own_names_and_loads_into_it(execute):
    nets = small_nets.several("clc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    for i, net in enumerate(nets):
        state = cohort.peer_state(i)
        assert list(state) == [n for n, _ in (*net.named_parameters(), *net.named_buffers())]
        assert not any(t.requires_grad for t in state.values())
        net.load_state_dict(state)


def test_network_gives_back_an_ordinary_module(execute):
    nets = small_nets.several("clc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    x = small_nets.images(5)
    cohort(x)
    for i, net in enumerate(nets):
        net(x)
        own = cohort.network(i)
        assert type(own) is type(net)
        assert str(own) == str(net)
        torch.testing.assert_close(own.state_dict(), net.state_dict(), rtol=1e-12, atol=1e-13)
        assert all(p.requires_grad for p in own.parameters())
        close(copy.deepcopy(own).eval()(x), copy.deepcopy(net).eval()(x))


def test_a_network_of_a_stack_is_a_copy_of_its_own():
    cohort = Cohort(small_nets.several("cc"), execute="stack")
    before = cohort.peer_state(0)["0.weight"].clone()
    one, two = cohort.network(0), cohort.network(0)
    with torch.no_grad():
        one[0].weight.add_(1.0)
    assert torch.equal(cohort.peer_state(0)["0.weight"], before)
    assert torch.equal(two[0].weight, before)


def test_another_networks_state_is_refused_and_changes_nothing(execute):
    cohort = Cohort(small_nets.several("cc"), execute=execute)
    good = cohort.peer_state(1)
    before = {name: t.clone() for name, t in cohort.peer_state(0).items()}
    missing = {name: t for name, t in good.items() if name != "8.bias"}
    with pytest.raises(ValueError, match="peer 0: '8.bias' is missing"):
        cohort.load_peer_state(0, missing)
    with pytest.raises(ValueError, match="peer 0: 'extra' is not in this network"):
        cohort.load_peer_state(0, {**good, "extra": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"peer 0: '8.bias' is \[4\], this network's is \[3\]"):
        cohort.load_peer_state(0, {**good, "8.bias": torch.zeros(4)})
    torch.testing.assert_close(cohort.peer_state(0), before, rtol=0, atol=0)


def test_a_copied_cohort_is_another_one(execute):
    cohort = Cohort(small_nets.several("cl"), execute=execute)
    x = small_nets.images(5)
    copied = copy.deepcopy(cohort)
    before = copied(x).logits.detach()
    move(cohort)
    assert torch.equal(copied(x).logits, before)


def test_a_teachers_batch_is_the_students(execute):
    cohort = Cohort(small_nets.several("cc", seed=1), execute=execute)
    teacher = Cohort(small_nets.several("c", seed=2)).frozen()
    method = KD(teacher, task_weight=0.0)
    terms = method(cohort, Batch(small_nets.images(5), torch.zeros(5).long()))
    (terms["task"] + terms["mimic"]).sum().backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in cohort.parameters())


def test_a_shared_trunk_follows_once_and_not_once_for_every_branch(execute):
    cohort = Cohort(small_nets.several("ccc"), execute=execute, branch_at="5")
    copied = cohort.frozen(moving=True)
    start = copied.peer_state(0)["0.weight"].clone()
    move(cohort)
    copied.follow(cohort, decay=0.5)
    for i in cohort.peers:
        close(copied.peer_state(i)["0.weight"], (start + cohort.peer_state(i)["0.weight"]) / 2)
