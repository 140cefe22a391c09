"""DML with one ensemble teacher: another value, the same gradient."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import naive
import small_nets
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods.dml import DML
from codistill.methods.dml_ensemble import DMLEnsemble

X, Y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, -1])


class Given(nn.Module):
    """Logits as parameters."""

    def __init__(self, z):
        super().__init__()
        self.z = nn.Parameter(z)

    def forward(self, x):
        return self.z + 0.0 * x.sum()


def given_logits(seed, peers, scale=2.0):
    z = scale * torch.randn(peers, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return [Given(own) for own in z]


def mimic(method, nets, **batch):
    """Its term and every network's gradient."""
    nets = copy.deepcopy(nets)
    term = method(Cohort(nets), Batch(torch.zeros(4), torch.tensor([0, 1, 2, 0]), **batch))["mimic"]
    term.sum().backward()
    return term.detach(), torch.stack([net.z.grad for net in nets])


@given(seed=st.integers(0, 10**6), peers=st.integers(2, 5), scale=st.floats(0.1, 10.0))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_equal_gradients_and_a_gap_of_the_entropies(seed, peers, scale):
    nets = given_logits(seed, peers, scale)
    (one, gradient), (two, same) = mimic(DML(), nets), mimic(DMLEnsemble(), nets)
    torch.testing.assert_close(gradient, same, rtol=1e-9, atol=1e-13)
    for k in range(peers):
        gap = 0.0
        for b in range(4):
            others = [naive.softmax(net.z.detach()[b]) for i, net in enumerate(nets) if i != k]
            mean = sum(others) / len(others)
            gap += (naive.entropy(mean) - sum(map(naive.entropy, others)) / len(others)).item() / 4
        assert (one[k] - two[k]).item() == pytest.approx(gap, rel=1e-8, abs=1e-10)
        assert gap >= -1e-12
        assert peers > 2 or abs(gap) < 1e-12


@pytest.mark.parametrize("graph", ["complete", "ring", "star", [[0, 0.2, 0.8], [0.5, 0, 0.5], [1.0, 0, 0]]])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_gradient_is_dml_s_with_any_mean_and_a_common_temperature(graph, temperature):
    nets = given_logits(1, 3)
    options = {"weight": 0.7, "temperature": temperature, "graph": graph}
    (_, gradient), (value, same) = mimic(DML(**options), nets), mimic(DMLEnsemble(**options), nets)
    torch.testing.assert_close(gradient, same, rtol=1e-9, atol=1e-13)
    weights = DMLEnsemble(graph=graph).graph.matrix(3)
    for i, net in enumerate(nets):
        expected = 0.0
        for b in range(4):
            teacher = sum(
                weights[i, j] * naive.softmax(other.z.detach()[b], temperature) for j, other in enumerate(nets)
            )
            expected += naive.divergence("kl", teacher, naive.softmax(net.z.detach()[b], temperature)) / 4
        torch.testing.assert_close(value[i], 0.7 * temperature**2 * expected)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_networks_learn_the_same_from_both_and_see_other_values(execute):
    def step(method):
        cohort = Cohort(small_nets.several("ccc"), execute=execute)
        terms = method(cohort, Batch(X, Y, mask=torch.tensor([1, 1, 0, 1, 1, 1])))
        sum(t.sum() for t in terms.values()).backward()
        torch.optim.SGD(cohort.parameters(), lr=0.1).step()
        return terms, cohort

    (one, a), (two, b) = step(DML()), step(DMLEnsemble())
    torch.testing.assert_close(one["task"], two["task"])
    assert (one["mimic"] - two["mimic"]).min() > 1e-4
    for i in range(3):
        torch.testing.assert_close(a.peer_state(i), b.peer_state(i), rtol=1e-9, atol=1e-12)


def test_with_one_source_they_are_one_and_the_same():
    nets = given_logits(2, 2)
    torch.testing.assert_close(mimic(DML(), nets), mimic(DMLEnsemble(), nets))


def test_what_it_says_of_itself():
    assert DMLEnsemble.same_gradient({}) == "dml"
    assert DMLEnsemble.mutual
