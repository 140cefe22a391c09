"""Training alone."""

import copy

import pytest
import torch

import naive
import small_nets
from codistill.batch import Batch, PerPeer
from codistill.cohort import Cohort
from codistill.methods.alone import Alone


def stepped(nets, loss):
    """The parameters after one plain step."""
    optimizer = torch.optim.SGD([p for net in nets for p in net.parameters()], lr=0.1)
    loss.backward()
    optimizer.step()
    return [p.detach() for net in nets for p in net.parameters()]


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_every_network_is_trained_by_its_own_cross_entropy(execute):
    nets = small_nets.several("ccl")
    x, y = small_nets.images(6), torch.tensor([0, 1, 2, 0, -1, 1])
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    terms = Alone()(cohort, Batch(x, y))
    assert set(terms) == {"task"}
    for i, net in enumerate(nets):
        torch.testing.assert_close(terms["task"][i], naive.task_loss(net(x), y))
    terms["task"].sum().backward()
    torch.optim.SGD(cohort.parameters(), lr=0.1).step()
    for i, net in enumerate(copy.deepcopy(nets)):
        stepped([net], naive.task_loss(net(x), y))
        for name, p in net.named_parameters():
            torch.testing.assert_close(cohort.peer_state(i)[name], p.detach(), rtol=1e-9, atol=1e-11)


def test_label_smoothing_and_confidence_penalty_are_the_naive_ones():
    nets = small_nets.several("cl")
    x, y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])
    mask = torch.tensor([1, 1, 0, 1, 1, 0])
    terms = Alone(label_smoothing=0.2, confidence_penalty=0.3)(Cohort(nets), Batch(x, y, mask=mask))
    for i, net in enumerate(nets):
        z = naive.without_statistics(net, x)
        torch.testing.assert_close(terms["task"][i].detach(), naive.task_loss(z, y, smoothing=0.2, mask=mask))
        entropies = [naive.entropy(naive.softmax(row)) for row, kept in zip(z, mask, strict=True) if kept]
        torch.testing.assert_close(terms["confidence"][i].detach(), -0.3 * sum(entropies) / 4)


def test_peers_may_have_batches_of_their_own():
    nets = small_nets.several("cc")
    x, y = small_nets.images(2, 6), torch.tensor([[0, 1, 2, 0, 2, 1], [2, 2, 2, 1, 0, -1]])
    terms = Alone()(Cohort(copy.deepcopy(nets), execute="stack"), Batch(PerPeer(x), y))
    for i, net in enumerate(nets):
        torch.testing.assert_close(terms["task"][i], naive.task_loss(net(x[i]), y[i]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"label_smoothing": 1.5}, "label_smoothing=1.5: give a number from 0 to 1"),
        ({"label_smoothing": -0.1}, "label_smoothing=-0.1: give a number from 0 to 1"),
        ({"confidence_penalty": -1}, "confidence_penalty=-1: give a number at least 0"),
    ],
)
def test_invalid_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Alone(**settings)
