"""The mean of probabilities as one module, against loops."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from codistill.deployment.preprocessing import Preprocessing
from codistill.deployment.trained import Trained, module_of
from codistill.description import Description, Network


class Given(nn.Module):
    """Answers with logits that were given, as an object or as a tensor."""

    def __init__(self, logits, as_object):
        super().__init__()
        self.logits, self.as_object = logits, as_object

    def forward(self, x):
        return SimpleNamespace(logits=self.logits) if self.as_object else self.logits


def described(task, classes, embedding=None):
    network = Network(0, 0, "dml", 0, "mlp", "mlp")
    return Description(task, classes, (), (1, 2, 2), "uint8", (0.5,), (0.5,), "digits", (network,), embedding=embedding)


def ensemble(task, classes, logits_PNC):
    nets = [Given(logits, peer % 2 == 0) for peer, logits in enumerate(logits_PNC)]
    module = module_of(nets, None, task, ensemble=True)
    return Trained(module, Preprocessing(described(task, classes)), "the ensemble", "all of them")


def softmax(row):
    total = sum(math.exp(z) for z in row)
    return [math.exp(z) / total for z in row]


def mean(values):
    return sum(values) / len(values)


def test_classes():
    logits = 3 * torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net = ensemble("classes", 5, logits)
    for n in range(4):
        posteriors = [softmax(logits[p, n].tolist()) for p in range(3)]
        expected = [mean([posterior[c] for posterior in posteriors]) for c in range(5)]
        assert net.probabilities(torch.zeros(1))[n].tolist() == pytest.approx(expected)
        assert net(torch.zeros(1))[n].tolist() == pytest.approx([math.log(p) for p in expected])


def test_tokens():
    logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net = ensemble("tokens", 5, logits)
    for n in range(3):
        for t in range(4):
            posteriors = [softmax(logits[p, n, t].tolist()) for p in range(2)]
            expected = [mean([posterior[c] for posterior in posteriors]) for c in range(5)]
            assert net.probabilities(torch.zeros(1))[n, t].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("task", "classes"), [("binary", 1), ("multilabel", 3)])
def test_yes_and_no(task, classes):
    logits = 2 * torch.randn(3, 4, classes, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    net = ensemble(task, classes, logits)
    answers, probabilities = net(torch.zeros(1)), net.probabilities(torch.zeros(1))
    assert answers.shape == (4, classes)
    assert probabilities.shape == (4, 2 if task == "binary" else classes)
    for n in range(4):
        for c in range(classes):
            p = mean([1 / (1 + math.exp(-float(logits[peer, n, c]))) for peer in range(3)])
            assert 1 / (1 + math.exp(-float(answers[n, c]))) == pytest.approx(p)
            if task == "binary":
                assert probabilities[n].tolist() == pytest.approx([1 - p, p])
            else:
                assert float(probabilities[n, c]) == pytest.approx(p)


def test_one_network_is_what_it_answers():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    net = Trained(
        module_of([Given(logits, True)], None, "classes", ensemble=False),
        Preprocessing(described("classes", 5)),
        "network 0",
        "",
    )
    assert torch.equal(net(torch.zeros(1)), logits)
    assert net.probabilities(torch.zeros(1))[2].tolist() == pytest.approx(softmax(logits[2].tolist()), rel=1e-5)
    assert net.classes == ("0", "1", "2", "3", "4")
