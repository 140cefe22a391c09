"""Deep mutual learning in every task, with weights and temperatures of every edge: three steps beside plain loops."""

import copy

import pytest
import torch
from torch import nn

import naive
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.losses.divergences.renyi import Renyi
from codistill.methods import get
from codistill.methods.dml import DML
from codistill.training.build import repeat_graphs

EXECUTORS = ["loop", "stack"]
W = [[0.0, 0.5, 1.5], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]]
T = [[9.0, 2.0, 5.0], [0.5, 9.0, 1.0], [3.0, 4.0, 9.0]]
THIRDS = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]


class Dense(nn.Module):
    """[B, 4, L] -> logits of every position, [B, L, 3]."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(4, 5, 3, padding=1, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Conv1d(5, 3, 1)
        )

    def forward(self, x):
        return self.body(x).transpose(1, 2)


def flat(logits):
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, logits))


def problem(task, masked=True):
    """Three networks and three batches."""
    torch.manual_seed(0)
    make = {"classes": lambda: flat(3), "binary": lambda: flat(1), "multilabel": lambda: flat(3), "tokens": Dense}[task]
    nets = [make().double() for _ in range(3)]
    batches = []
    for _ in range(3):
        x = torch.randn((6, 4, 5) if task == "tokens" else (6, 4), dtype=torch.float64)
        shape = {"multilabel": (6, 3), "tokens": (6, 5)}.get(task, (6,))
        y = torch.randint(0, 2 if task in ("binary", "multilabel") else 3, shape)
        y[1] = -1
        mask = torch.rand(shape if task == "tokens" else (6,)) < 0.7
        mask[0] = True
        batches.append(Batch(x, y, mask=mask if masked else None, task=task))
    return nets, batches


def edge_loss(name, source, student, task, temperature, mask):
    """T^2 D of one edge, one sample (token) at a time, a mean over those that count."""
    source, student = (z.reshape(-1, z.shape[-1]) for z in (source, student))
    kept = range(len(student)) if mask is None else mask.reshape(-1).nonzero().flatten().tolist()
    values = [naive.sample_divergence(name, source[b], student[b], task, temperature) for b in kept]
    return sum(values) / len(values)


def steps(method, nets, batches, execute):
    """Train with the library; the terms of the last step and the cohort."""
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    optimizer = torch.optim.SGD(cohort.parameters(), lr=0.3, momentum=0.9)
    for batch in batches:
        terms = method(cohort, batch)
        optimizer.zero_grad()
        sum(term.sum() for term in terms.values()).backward()
        optimizer.step()
    return terms, cohort


def naive_steps(nets, batches, w, temperatures, name="kl", weight=1.0):
    nets = copy.deepcopy(nets)
    optimizer = torch.optim.SGD([p for net in nets for p in net.parameters()], lr=0.3, momentum=0.9)
    for batch in batches:
        z = [net(batch.x) for net in nets]
        task = [naive.task_loss(one, batch.y, batch.task, mask=batch.mask) for one in z]
        mimic = []
        for i in range(3):
            total = z[i].sum() * 0.0
            for j in range(3):
                if w[i][j]:
                    edge = edge_loss(name, z[j].detach(), z[i], batch.task, temperatures[i][j], batch.mask)
                    total = total + weight * w[i][j] * edge
            mimic.append(total)
        optimizer.zero_grad()
        (sum(task) + sum(mimic)).backward()
        optimizer.step()
    return {"task": torch.stack(task), "mimic": torch.stack(mimic)}, nets


def compare(method, nets, batches, execute, *reference, **settings):
    terms, cohort = steps(method, nets, batches, execute)
    expected, alone = naive_steps(nets, batches, *reference, **settings)
    torch.testing.assert_close(terms, expected, rtol=1e-8, atol=1e-10)
    for i, net in enumerate(alone):
        torch.testing.assert_close(cohort.peer_state(i), dict(net.state_dict()), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("task", ["classes", "binary", "multilabel", "tokens"])
def test_three_steps_in_every_task(task, masked, execute):
    nets, batches = problem(task, masked)
    compare(get("dml:temperature=2,weight=0.7"), nets, batches, execute, THIRDS, [[2.0] * 3] * 3, weight=0.7)


@pytest.mark.parametrize("execute", EXECUTORS)
@pytest.mark.parametrize("divergence", ["kl", "js", "reverse_kl"])
@pytest.mark.parametrize("task", ["classes", "multilabel", "tokens"])
def test_three_steps_with_weights_and_temperatures_of_every_edge(task, divergence, execute):
    nets, batches = problem(task)
    method = DML(graph=W, temperature=T, divergence=divergence, weight=0.7)
    compare(method, nets, batches, execute, W, T, divergence, weight=0.7)


# Temperatures of edges ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("divergence", ["kl", "js"])
@pytest.mark.parametrize("graph", [None, "ring", W])
def test_one_temperature_everywhere_is_a_number(graph, divergence):
    nets, batches = problem("classes")
    settings = {"graph": graph, "divergence": divergence}
    one = DML(temperature=[[3.0] * 3] * 3, **settings)(Cohort(nets), batches[0])
    torch.testing.assert_close(one, DML(temperature=3.0, **settings)(Cohort(nets), batches[0]))


def test_each_block_of_peers_has_the_same_temperatures():
    nets, batches = problem("classes")
    both = repeat_graphs(DML(graph=W, temperature=T), 2)
    pair = nets + problem("classes")[0]
    terms = both(Cohort(pair), batches[0])
    for name, term in DML(graph=W, temperature=T)(Cohort(nets), batches[0]).items():
        torch.testing.assert_close(terms[name], torch.cat([term, term]))


def test_a_temperature_matters_on_edges_that_weigh_something_only():
    nets, batches = problem("classes")
    zeros = [[t if w else 0.0 for t, w in zip(*rows, strict=True)] for rows in zip(T, W, strict=True)]
    one = DML(graph=W, temperature=zeros)(Cohort(nets), batches[0])
    torch.testing.assert_close(one, DML(graph=W, temperature=T)(Cohort(nets), batches[0]))


def test_invalid_temperatures_are_refused():
    nets, batches = problem("classes")

    def run(temperature):
        return DML(temperature=temperature)(Cohort(nets), batches[0])

    with pytest.raises(ValueError, match=r"the temperature's matrix is \(2, 2\), the cohort needs \(3, 3\)"):
        run([[1.0, 2.0], [1.0, 2.0]])
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"temperature has {bad:g} on an edge that weighs something"):
            run([[1.0, 1.0, bad], [1.0] * 3, [1.0] * 3])
    with pytest.raises(ValueError, match="temperature has nan on an edge"):
        run([[1.0, 1.0, float("nan")], [1.0] * 3, [1.0] * 3])
    for wrong in ([[1.0, 2.0], [1.0]], [1.0, 2.0], [], [["hot"] * 3] * 3):
        with pytest.raises(ValueError, match="temperature=.*: give a row of numbers for each student"):
            DML(temperature=wrong)
    with pytest.raises(ValueError, match="graph=.*: give a row of numbers for each student"):
        DML(graph=[[0.0, 1.0], [1.0]])
    with pytest.raises(ValueError, match="temperature='hot': give a number"):
        get("dml:temperature=hot")


# Tasks --------------------------------------------------------------------------------------------------------------


def test_a_binary_sample_does_not_hang_on_the_others_of_its_batch():
    # a softmax of [B] logits over the batch would compare which sample of the batch is the most positive
    nets, batches = problem("binary", masked=False)
    nets = [net.eval() for net in nets]
    cohort = Cohort(nets).eval()
    x, y = batches[0].x, batches[0].y
    whole = get("dml")(cohort, Batch(x, y, task="binary"))["mimic"]
    each = [get("dml")(cohort, Batch(x[b : b + 1], y[b : b + 1], task="binary"))["mimic"] for b in range(6)]
    torch.testing.assert_close(whole, sum(each) / 6)


def test_several_labels_are_a_sum_of_as_many_binary_tasks():
    nets, batches = problem("multilabel", masked=False)
    x, y = batches[0].x, batches[0].y

    class One(nn.Module):
        def __init__(self, net, label):
            super().__init__()
            self.net, self.label = net, label

        def forward(self, x):
            return self.net(x)[..., self.label : self.label + 1]

    whole = get("dml:temperature=2")(Cohort(nets), batches[0])
    each = [
        get("dml:temperature=2")(Cohort([One(net, c) for net in nets]), Batch(x, y[:, c], task="binary"))
        for c in range(3)
    ]
    for name, term in whole.items():
        torch.testing.assert_close(term, sum(one[name] for one in each))


def test_tokens_that_are_padding_change_nothing():
    nets, batches = problem("tokens")
    batch = batches[0]
    cohort = Cohort([net.eval() for net in nets]).eval()
    z = torch.stack([net(batch.x) for net in nets])

    class Given(nn.Module):
        def __init__(self, logits):
            super().__init__()
            self.z = nn.Parameter(logits.detach().clone())

        def forward(self, x):
            return self.z

    expected = get("dml")(cohort, batch)
    padded = z.masked_fill(~batch.mask[..., None].expand_as(z), 100.0)
    got = get("dml")(Cohort([Given(one) for one in padded]), batch)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("execute", EXECUTORS)
def test_three_steps_with_the_renyi_divergence(execute):
    nets, batches = problem("classes", masked=False)
    assert isinstance(get("dml:divergence=renyi:alpha=2").divergence, Renyi)
    terms, cohort = steps(get("dml:divergence=renyi:alpha=2"), nets, batches, execute)
    alone = copy.deepcopy(nets)
    optimizer = torch.optim.SGD([p for net in alone for p in net.parameters()], lr=0.3, momentum=0.9)
    for batch in batches:
        z = [net(batch.x) for net in alone]
        mimic = []
        for i in range(3):
            others = [z[j].detach().softmax(-1) for j in range(3) if j != i]
            mimic.append(sum((q**2 / z[i].softmax(-1)).sum(-1).log().mean() for q in others) / 2)
        loss = sum(naive.task_loss(one, batch.y) for one in z) + sum(mimic)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(terms["mimic"], torch.stack(mimic))
    for i, net in enumerate(alone):
        torch.testing.assert_close(cohort.peer_state(i), dict(net.state_dict()), rtol=1e-7, atol=1e-9)
    one = steps(get("dml:divergence=renyi:alpha=1"), nets, batches, execute)[0]
    torch.testing.assert_close(one, steps(get("dml"), nets, batches, execute)[0])
