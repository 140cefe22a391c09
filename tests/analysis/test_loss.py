import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from analysis.small import batches, net, same, state
from codistill.analysis.loss import gradient, labelled, loss_and_accuracy
from codistill.metrics.decisions import class_logits, labelled_decisions


def test_loss_and_accuracy_are_those_of_all_examples_in_eval_mode():
    network = net()
    before = state(network)
    (x, y), *_ = batches(10)
    loss, accuracy = loss_and_accuracy(network, [(x[:7], y[:7]), (x[7:], y[7:])])
    assert same(state(network), before)
    network.eval()
    z = network(x).detach()
    assert loss == pytest.approx(float(F.cross_entropy(z, y)))
    assert accuracy == pytest.approx(float((z.argmax(1) == y).double().mean()))


def test_unlabelled_examples_do_not_count():
    network = net()
    (x, y), *_ = batches(10)
    hidden = y.clone()
    hidden[4:] = -1
    assert loss_and_accuracy(network, [(x, hidden)]) == pytest.approx(loss_and_accuracy(network, [(x[:4], y[:4])]))
    assert all(map(math.isnan, loss_and_accuracy(network, [(x, torch.full_like(y, -1))])))
    with pytest.raises(ValueError, match="no example has a label"):
        gradient(network, [(x, torch.full_like(y, -1))])


def test_the_gradient_over_unequal_batches_is_that_of_the_whole():
    network = net()
    (x, y), *_ = batches(10)
    g = gradient(network, [(x[:7], y[:7]), (x[7:], y[7:])])
    assert all(p.grad is None for p in network.parameters())
    network.eval()
    loss = F.cross_entropy(network(x), y)
    loss.backward()
    for name, p in network.named_parameters():
        torch.testing.assert_close(g[name], p.grad)


def test_every_task_becomes_decisions_among_classes():
    z = torch.tensor([[0.3], [-2.0], [1.0]])
    log_p, y = labelled_decisions(class_logits(z, "binary"), torch.tensor([1, 0, -1]))
    assert log_p.exp()[:, 1].tolist() == pytest.approx([1 / (1 + math.exp(-0.3)), 1 / (1 + math.exp(2.0))])
    assert y.tolist() == [1, 0]
    labels = torch.tensor([[0, 1, 2, -1, -1], [3, -1, -1, -1, -1]])
    log_p, y = labelled_decisions(class_logits(torch.randn(2, 5, 4), "tokens"), labels)
    assert (log_p.shape, y.tolist()) == ((4, 4), [0, 1, 2, 3])
    labels = torch.tensor([[0, 1, 1], [1, 0, 0]])
    log_p, y = labelled_decisions(class_logits(torch.randn(2, 3), "multilabel"), labels)
    assert (log_p.shape, y.tolist()) == ((6, 2), [0, 1, 1, 1, 0, 0])
    assert labelled(torch.tensor([[0, 1], [1, -1]]), "multilabel") == 1


def test_recurrent_networks_are_measured_too():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.cell, self.out = nn.Embedding(9, 4), nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 1)

        def forward(self, x):
            return self.out(self.cell(self.table(x))[0][:, -1])

    torch.manual_seed(0)
    reader = Reader().double()
    x, y = torch.randint(0, 9, (6, 5)), torch.tensor([0, 1, 1, 0, 1, 0])
    enabled = torch.backends.cudnn.enabled
    g = gradient(reader, [(x, y)], "binary")
    assert torch.backends.cudnn.enabled == enabled
    F.binary_cross_entropy_with_logits(reader(x)[:, 0], y.double()).backward()
    for name, p in reader.named_parameters():
        torch.testing.assert_close(g[name], p.grad)
