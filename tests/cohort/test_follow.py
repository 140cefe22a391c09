"""Copies that follow their peers."""

import copy

import pytest
import torch
from torch import nn

import small_nets
from codistill import checkpoint
from codistill.cohort import Cohort
from codistill.methods.parts.ema import Averages, Steps


@pytest.fixture(params=["loop", "stack"])
def execute(request):
    return request.param


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)


def change(nets, cohort, seed):
    """Other weights and statistics, in plain networks and in a cohort of copies of them."""
    generator = torch.Generator().manual_seed(seed)
    for i, net in enumerate(nets):
        for p in net.parameters():
            p.data.add_(0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
        net(small_nets.images(5, seed=seed))
        cohort.load_peer_state(i, dict((*net.named_parameters(), *net.named_buffers())))


class Naive:
    """theta' = d theta' + (1 - d) theta, a tensor at a time."""

    def __init__(self, nets):
        self.copies = [copy.deepcopy(dict(net.state_dict())) for net in nets]

    def follow(self, nets, decay):
        for own, net in zip(self.copies, nets, strict=True):
            for name, p in net.named_parameters():
                own[name] = decay * own[name] + (1 - decay) * p.detach()
            for name, b in net.named_buffers():
                own[name] = b.clone()

    def check(self, copied):
        for i, own in enumerate(self.copies):
            for name, tensor in copied.peer_state(i).items():
                close(tensor, own[name])


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("kinds", ["ccc", "clc"])
def test_several_steps_of_an_average(execute, kinds, decay):
    nets = small_nets.several(kinds)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    copied, expected = cohort.frozen(moving=True), Naive(nets)
    held = [id(t) for t in (*copied.parameters(), *copied.buffers())]
    for step in range(4):
        change(nets, cohort, step)
        copied.follow(cohort, decay=decay)
        expected.follow(nets, decay)
        expected.check(copied)
    assert held == [id(t) for t in (*copied.parameters(), *copied.buffers())]
    assert not any(p.requires_grad for p in copied.parameters())
    counts = {int(t) for n, t in copied.peer_state(0).items() if "num_batches" in n}
    assert counts == {4}


def test_a_copy_of_a_view_follows_it_in_its_order(execute):
    nets = small_nets.several("cccc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    view = cohort[[3, 1]]
    copied, expected = view.frozen(moving=True), Naive([nets[3], nets[1]])
    change(nets, cohort, 0)
    copied.follow(view, decay=0.9)
    expected.follow([nets[3], nets[1]], 0.9)
    expected.check(copied)


def test_a_copy_follows_peers_that_something_else_executes():
    nets = small_nets.several("ccc")
    loop, stack = (Cohort(copy.deepcopy(nets), execute=name) for name in ("loop", "stack"))
    copied, expected = stack.frozen(moving=True), Naive(nets)
    change(nets, loop, 0)
    copied.follow(loop, decay=0.5)
    expected.follow(nets, 0.5)
    expected.check(copied)


def test_tied_weights_move_once(execute):
    torch.manual_seed(0)
    cohort = Cohort([small_nets.Tied() for _ in range(2)], execute=execute)
    copied = cohort.frozen(moving=True)
    start = copied.peer_state(1)["one.weight"].clone()
    with torch.no_grad():
        for p in cohort.parameters():
            p.add_(1.0)
    copied.follow(cohort, decay=0.75)
    torch.testing.assert_close(copied.peer_state(1)["one.weight"], start + 0.25)


def test_the_trunk_of_branches_moves_once(execute):
    nets = small_nets.several("ccc")
    cohort = Cohort(nets, execute=execute, branch_at="5")
    copied = cohort.frozen(moving=True)
    start = [{n: t.clone() for n, t in copied.peer_state(i).items()} for i in range(3)]
    with torch.no_grad():
        for p in cohort.parameters():
            p.add_(1.0)
    copied.follow(cohort, decay=0.75)
    for i in range(3):
        for name in ("0.weight", "5.weight"):
            close(copied.peer_state(i)[name], start[i][name] + 0.25)


def test_only_moving_copies_are_in_a_methods_state(execute):
    cohort = Cohort(small_nets.several("cc"), execute=execute)

    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.fixed, self.moving = cohort.frozen(), cohort.frozen(moving=True)

    owner = Owner()
    state = checkpoint.method_state(owner)
    assert {name.partition(".")[0] for name in state} == {"moving"}
    assert {name.split(".")[2] for name in state} == {"0", "1"}
    saved = {name: t.clone() for name, t in state.items()}
    with torch.no_grad():
        for p in cohort.parameters():
            p.add_(1.0)
    owner.moving.follow(cohort)
    assert not torch.equal(checkpoint.method_state(owner)["moving.peers.1.0.weight"], saved["moving.peers.1.0.weight"])
    checkpoint.restore_method(owner, saved)
    assert all(torch.equal(t, saved[name]) for name, t in checkpoint.method_state(owner).items())


# With batch statistics ----------------------------------------------------------------------------------------------


def test_a_copy_may_take_each_batchs_own_statistics(execute):
    nets = small_nets.several("clc")
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    copied = cohort.frozen(batch_statistics=True)
    x = small_nets.images(5)
    before = {n: t.clone() for n, t in copied.peer_state(0).items()}
    for _ in range(2):  # running statistics stay, with and without gradients
        close(copied(x).logits, torch.stack([copy.deepcopy(net)(x) for net in nets]))
    assert all(torch.equal(t, before[n]) for n, t in copied.peer_state(0).items())
    for mode in (False, True):
        copied.train(mode)
        assert copied.training
        assert all(m.training for m in copied.modules())
    assert not cohort.frozen().train().training
    assert cohort.training


# Averages -----------------------------------------------------------------------------------------------------------


def test_an_average_is_the_true_mean_until_the_exponential_one_is_better():
    cohort = Cohort([nn.Linear(1, 1, bias=False).double()])
    averages = Averages(cohort, 0.7)
    expected = None
    for step, value in enumerate((3.0, 5.0, -1.0, 2.0, 8.0, 4.0)):
        with torch.no_grad():
            next(cohort.parameters()).fill_(value)
        averages.follow(cohort)
        decay = min(1.0 - 1.0 / (step + 1), 0.7)
        expected = value if expected is None else decay * expected + (1 - decay) * value
        assert float(averages.cohort.peer_state(0)["weight"]) == pytest.approx(expected, abs=1e-12)
        if step == 2:
            assert expected == pytest.approx((3.0 + 5.0 - 1.0) / 3)


def test_steps_are_counted_in_the_state_and_stay_on_the_cpu():
    steps = Steps()
    assert [steps() for _ in range(3)] == [0, 1, 2]
    assert int(steps.state_dict()["done"]) == 3
    again = Steps()
    again.load_state_dict(steps.state_dict())
    assert again() == 3
    assert nn.Sequential(again).to("meta")[0].done.device.type == "cpu"
