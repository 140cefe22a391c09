"""DML with one ensemble teacher: another value, the same gradient."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

import naive
import small_nets
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.dml import DML
from codistill.methods.dml_ensemble import DMLEnsemble
from codistill.spec import UnknownName
from codistill.study import Study
from codistill.study.summary import same_gradient
from methods.references import BASE, check, check_seeds, training_of

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
def test_the_gradient_is_that_of_dml_with_any_mean_and_a_common_temperature(graph, temperature):
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


# Other teachers -------------------------------------------------------------------------------------------------------


def geometric(z, i, include_self, temperature=1.0):
    """The normalised geometric mean of the posteriors at T of one sample's logits, [P][C]."""
    chosen = [naive.softmax(row, temperature) for j, row in enumerate(z) if include_self or j != i]
    product = math.prod(p ** (1.0 / len(chosen)) for p in chosen)
    return product / product.sum()


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_mean_of_the_logits_is_the_geometric_mean_of_the_posteriors(include_self, temperature):
    nets = given_logits(3, 3)
    method = DMLEnsemble(0.7, temperature, mean="geometric", include_self=include_self)
    value, gradient = mimic(method, nets)
    mine = torch.stack([net.z.detach() for net in nets]).requires_grad_()
    expected = []
    for i in range(3):
        each = [
            naive.divergence(
                "kl", geometric(mine.detach()[:, b], i, include_self, temperature), naive.softmax(row, temperature)
            )
            for b, row in enumerate(mine[i])
        ]
        expected.append(0.7 * temperature**2 * sum(each) / 4)
    torch.testing.assert_close(value, torch.stack(expected).detach())
    torch.testing.assert_close(gradient, naive.gradients(torch.stack(expected), mine)[0])


def test_the_geometric_mean_is_another_teacher():
    nets = given_logits(4, 3)
    (_, arithmetic), (_, other) = mimic(DMLEnsemble(), nets), mimic(DMLEnsemble(mean="geometric"), nets)
    assert (arithmetic - other).abs().max() > 1e-3
    pair = given_logits(4, 2)  # of one other there is one mean
    torch.testing.assert_close(mimic(DMLEnsemble(mean="geometric"), pair), mimic(DMLEnsemble(), pair))


@given(seed=st.integers(0, 10**6), peers=st.integers(2, 5), temperature=st.floats(0.5, 5.0))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_with_oneself_in_the_mean_of_posteriors_the_gradient_is_only_shorter(seed, peers, temperature):
    nets = given_logits(seed, peers)
    _, others = mimic(DMLEnsemble(temperature=temperature), nets)
    _, everybody = mimic(DMLEnsemble(temperature=temperature, include_self=True), nets)
    torch.testing.assert_close(everybody, (peers - 1) / peers * others, rtol=1e-9, atol=1e-13)


def test_with_oneself_the_value_is_the_distance_from_the_mean_of_all():
    nets = given_logits(5, 3)
    value, _ = mimic(DMLEnsemble(include_self=True), nets)
    for i, net in enumerate(nets):
        expected = 0.0
        for b in range(4):
            teacher = sum(naive.softmax(other.z.detach()[b]) for other in nets) / 3
            expected += naive.divergence("kl", teacher, naive.softmax(net.z.detach()[b])) / 4
        torch.testing.assert_close(value[i], expected)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_weights_of_a_graph_weigh_the_mean_and_the_term(mean):
    nets = given_logits(6, 3)
    rows = [[0.0, 0.2, 0.8], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]
    value, gradient = mimic(DMLEnsemble(graph=rows, mean=mean), nets)
    z = torch.stack([net.z.detach() for net in nets])
    for i, row in enumerate(rows):
        mixed = sum(w * z[j] for j, w in enumerate(row))
        teacher = mixed.softmax(-1) if mean == "geometric" else sum(w * z[j].softmax(-1) for j, w in enumerate(row))
        expected = (teacher * (teacher.log() - z[i].log_softmax(-1))).sum(-1).mean()
        torch.testing.assert_close(value[i], expected)
    twice = DMLEnsemble(graph=[[2 * w for w in row] for row in rows], mean=mean)
    torch.testing.assert_close(mimic(twice, nets)[1], 2 * gradient)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_who_has_nobody_to_learn_from_learns_from_the_labels_alone(mean):
    nets = given_logits(7, 3)
    value, gradient = mimic(DMLEnsemble(graph=[[0, 1, 0], [0, 0, 0], [0, 1, 0]], mean=mean), nets)
    assert value[1].item() == 0.0
    assert gradient[1].abs().max() == 0.0
    assert gradient[0].abs().max() > 0.0
    single, none = mimic(DMLEnsemble(mean=mean), nets[:1])
    assert single.tolist() == [0.0]
    assert none.abs().max() == 0.0


@pytest.mark.parametrize("task", ["binary", "multilabel", "tokens"])
def test_the_mean_of_the_logits_in_other_tasks(task):
    shape = {"binary": (4, 1), "multilabel": (4, 3), "tokens": (4, 2, 3)}[task]
    z = torch.randn(3, *shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    y = {"binary": torch.zeros(4), "multilabel": torch.zeros(4, 3), "tokens": torch.zeros(4, 2)}[task].long()
    terms = DMLEnsemble(mean="geometric", temperature=2.0)(
        Cohort([Given(own) for own in z]), Batch(torch.zeros(4), y, task=task)
    )
    for i in range(3):
        teacher = sum(z[j] for j in range(3) if j != i) / 2
        rows = zip(teacher.reshape(-1, shape[-1]), z[i].reshape(-1, shape[-1]), strict=True)
        each = [naive.sample_divergence("kl", q, p, task, 2.0) for q, p in rows]
        torch.testing.assert_close(terms["mimic"][i].detach(), sum(each) / len(each))


def test_a_class_that_all_exclude_stays_out_of_the_mean_of_the_logits():
    nets = given_logits(9, 3)
    expected = mimic(DMLEnsemble(mean="geometric"), nets)[0]
    wide = [Given(torch.cat([net.z.detach(), torch.full((4, 1), -torch.inf, dtype=torch.float64)], 1)) for net in nets]
    value, gradient = mimic(DMLEnsemble(mean="geometric"), wide)
    torch.testing.assert_close(value, expected)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_with_the_mean_of_all_logits(execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        teacher = sum(one.detach() for one in z) / 3
        return sum(
            naive.label_loss(one, batch.y) + 0.5 * 4 * naive.softmax_kl(teacher, one, temperature=2.0) for one in z
        )

    spec = "dml_ensemble:mean=geometric,include_self=true,weight=0.5,temperature=2"
    check(training_of(spec, execute=execute), loss)


@pytest.mark.parametrize("options", ["", "mean=geometric", "include_self=true"])
def test_two_seeds_in_one_fleet_are_two_runs(options):
    check_seeds(f"dml_ensemble:{options}", execute="stack")


def test_it_says_where_its_gradient_is_dmls():
    for options, other in [
        ({}, "dml"),
        ({"temperature": 3.0, "weight": 2}, "dml:temperature=3.0,weight=2"),
        ({"mean": "arithmetic", "include_self": False, "graph": "ring"}, "dml:graph=ring"),
        ({"mean": "geometric"}, None),
        ({"include_self": True}, None),
        ({"on": "unlabelled", "ramp": 0.3}, "dml:on=unlabelled,ramp=0.3"),
        ({"target": "hard"}, None),  # the class of the mean is not the mean of the classes
        ({"select": "confident:0.9", "temperature": 3.0}, None),  # judged at its temperature
    ]:
        assert DMLEnsemble.same_gradient(options) == other
        assert get("dml").same_gradient(options) is None
    assert DMLEnsemble.needs.peers


def test_a_study_marks_the_rows_whose_gradient_is_that_of_another_row():
    specs = ("dml:temperature=2,weight=3", "dml_ensemble:weight=3,temperature=2", "dml_ensemble:mean=geometric")
    study = Study("digits", BASE, (*specs, "dml_ensemble:weight=3,temperature=2,update=in_turn", "dml"), (0,))
    marked = {entry.name: same_gradient(study, entry) for entry in study.entries}
    assert marked == {
        "alone": None,
        "dml:peers=3,temperature=2,weight=3": None,
        "dml_ensemble:peers=3,weight=3,temperature=2": "dml:peers=3,temperature=2,weight=3",
        "dml_ensemble:peers=3,mean=geometric": None,
        "dml_ensemble:peers=3,update=in_turn,weight=3,temperature=2": None,
        "dml:peers=3": None,
    }


def test_what_cannot_be_is_said():
    with pytest.raises(UnknownName, match="no mean is called 'geometrical': did you mean 'geometric'"):
        get("dml_ensemble:mean=geometrical")
    with pytest.raises(ValueError, match="include_self='yes': use true or false"):
        get("dml_ensemble:include_self=yes")
    with pytest.raises(ValueError, match="include_self=True is for the complete graph"):
        get("dml_ensemble:include_self=true,graph=ring")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("dml_ensemble:temperature=0")
