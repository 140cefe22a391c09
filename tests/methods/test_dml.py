"""Deep mutual learning."""

import copy
import warnings

import pytest
import torch
from torch import nn

import naive
import small_nets
from codistill.batch import Batch, PerPeer
from codistill.cohort import Cohort
from codistill.methods import IdenticalPeers
from codistill.methods.alone import Alone
from codistill.methods.dml import DML
from codistill.methods.dml_ensemble import DMLEnsemble
from codistill.run import Run
from codistill.training.build import build_fleet, repeat_graphs
from codistill.training.step import take

EXECUTORS = ["loop", "stack"]
X, Y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])


@pytest.fixture(params=EXECUTORS)
def execute(request):
    return request.param


def total(terms):
    return sum(term.sum() for term in terms.values())


def gradients(cohort):
    """Of every peer, by name; zero where there is none."""
    found = [{} for _ in cohort.peers]
    for leaf in cohort.leaves():
        if isinstance(leaf.tensor, nn.Parameter):
            for row, peer in enumerate(leaf.peers):
                grad = torch.zeros_like(leaf.tensor) if leaf.tensor.grad is None else leaf.tensor.grad
                found[peer][leaf.name] = (grad[row] if leaf.stacked else grad).clone()
    return found


def heads(bits):
    """Networks with so many logits."""
    torch.manual_seed(0)
    return [nn.Linear(4, bits).double() for _ in range(3)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("kinds", ["cc", "ccl", "cccc"])
def test_terms_and_gradients_are_the_papers(kinds, reduction, execute):
    nets = small_nets.several(kinds)
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    terms = DML(total=reduction)(cohort, Batch(X, Y))
    total(terms).backward()
    logits = [net(X) for net in nets]
    scale = len(nets) - 1 if reduction == "sum" else 1
    for k, z in enumerate(logits):
        torch.testing.assert_close(terms["task"][k], naive.label_loss(z, Y))
        torch.testing.assert_close(terms["mimic"][k], scale * naive.dml_loss(k, logits))
    sum(naive.label_loss(z, Y) + scale * naive.dml_loss(k, logits) for k, z in enumerate(logits)).backward()
    for net, own in zip(nets, gradients(cohort), strict=True):
        for name, p in net.named_parameters():
            torch.testing.assert_close(own[name], p.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "symmetric_kl", "js"])
def test_weight_temperature_graph_and_divergence_are_in_the_equation(divergence):
    rows = [[0.0, 0.5, 0.0], [1.0, 0.0, 2.0], [0.0, 0.0, 0.0]]
    nets = small_nets.several("ccl")
    method = DML(weight=0.7, temperature=2.0, divergence=divergence, graph=rows)
    terms = method(Cohort(copy.deepcopy(nets)), Batch(X, Y))
    z = torch.stack([net(X) for net in nets])
    expected = 0.7 * naive.along(rows, divergence, z, z.detach(), temperature=2.0)
    torch.testing.assert_close(terms["mimic"], expected)


@pytest.mark.parametrize("method", [DML(), DMLEnsemble(), DML(divergence="js"), DML(divergence="reverse_kl")])
def test_no_gradient_goes_into_the_peers(method, execute):
    cohort = Cohort(small_nets.several("ccl"), execute=execute)
    for k in range(3):
        cohort.zero_grad()
        terms = method(cohort, Batch(X, Y))
        (terms["task"][k] + terms["mimic"][k]).backward()
        for peer, own in enumerate(gradients(cohort)):
            largest = max(float(g.abs().max()) for g in own.values())
            assert (largest > 1e-4) if peer == k else (largest == 0.0)


@pytest.mark.parametrize("method", [DML, DMLEnsemble])
def test_identical_networks_teach_nothing_and_learn_as_alone(method, execute):
    net = small_nets.several("c")[0]

    def step(made):
        cohort = Cohort([copy.deepcopy(net) for _ in range(3)], execute=execute)
        optimizer = torch.optim.SGD(cohort.parameters(), lr=0.1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IdenticalPeers)
            terms = made(cohort, Batch(X, Y))
        total(terms).backward()
        optimizer.step()
        return terms, cohort

    terms, cohort = step(method())
    _, alone = step(Alone())
    assert terms["mimic"].abs().max() < 1e-14
    for i in range(3):
        torch.testing.assert_close(cohort.peer_state(i), alone.peer_state(i), rtol=1e-12, atol=1e-14)


def warned(method, cohort, times=1):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(times):
            method(cohort, Batch(X, Y))
    return [w for w in caught if issubclass(w.category, IdenticalPeers)]


def test_identical_peers_that_teach_each_other_are_warned_of_once(execute):
    a, b = small_nets.several("cc")
    cohort = Cohort([a, b, copy.deepcopy(a)], execute=execute)
    caught = warned(DML(), cohort, times=3)
    assert len(caught) == 1
    said = str(caught[0].message)
    assert said.startswith("peers 2 and 0 start with identical weights, so they have nothing to teach each other")
    assert "build each network with a seed of its own (not by a deep copy)" in said
    assert caught[0].filename == __file__


def test_only_edges_with_weight_count_as_teaching(execute):
    a, b = small_nets.several("cc")
    same_start = [copy.deepcopy(net) for net in (a, b, a, b)]  # two runs of one study, side by side
    cohort = Cohort(same_start, execute=execute)
    assert not warned(repeat_graphs(DML(), 2), cohort)
    assert not warned(DML(graph="none"), cohort)
    assert not warned(DML(graph="ring"), cohort)  # 0-1-2-3: neighbours differ
    assert not warned(Alone(), cohort)
    assert warned(DML(), cohort)
    assert warned(DML(graph=[[0, 0, 0, 0]] * 3 + [[0, 0.5, 0, 0]]), cohort)
    assert warned(DMLEnsemble(), cohort)
    assert not warned(DML(graph="everyone"), cohort[:2])  # an edge to oneself is no teaching


def test_one_network_is_plain_cross_entropy(execute):
    net = small_nets.several("c")[0]
    for method in (DML(), DML(total="sum"), DMLEnsemble(), DML(graph="ring"), DML(graph="star")):
        cohort = Cohort([copy.deepcopy(net)], execute=execute)
        terms = method(cohort, Batch(X, Y))
        total(terms).backward()
        own = copy.deepcopy(net)
        naive.label_loss(own(X), Y).backward()
        grads = {name: p.grad for name, p in own.named_parameters()}
        torch.testing.assert_close(gradients(cohort)[0], grads, rtol=1e-9, atol=1e-12)
        if isinstance(method, DML):
            assert terms["mimic"].tolist() == [0.0]


def test_one_logit_is_the_two_class_problem_over_zero_and_it():
    one = heads(1)
    two = []
    for net in one:
        wide = nn.Linear(4, 2).double()
        with torch.no_grad():
            wide.weight.copy_(torch.cat([torch.zeros_like(net.weight), net.weight]))
            wide.bias.copy_(torch.cat([torch.zeros_like(net.bias), net.bias]))
        two.append(wide)
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, -1])
    for divergence in ("kl", "js"):
        for net in (*one, *two):
            net.zero_grad()
        method = DML(divergence=divergence, temperature=2.0)
        binary = method(Cohort(one), Batch(x, y, task="binary"))
        classes = method(Cohort(two), Batch(x, y))
        torch.testing.assert_close(binary, classes)
        (total(binary) + total(classes)).backward()
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a.weight.grad[0], b.weight.grad[1])


def test_one_logit_as_classes_is_refused_and_not_normalised_over_the_batch():
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0])
    for method in (DML(), DMLEnsemble(), Alone()):
        with pytest.raises(ValueError, match="task='classes' with one logit per sample: say task='binary'"):
            method(Cohort(heads(1)), Batch(x, y))


@pytest.mark.parametrize("task", ["multilabel", "tokens"])
@pytest.mark.parametrize("method", [DML(temperature=2.0), DMLEnsemble(temperature=2.0)])
def test_other_tasks_are_the_naive_ones(task, method):
    shape = (5, 4) if task == "multilabel" else (5, 2, 4)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    nets = heads(3)
    z = torch.stack([net(x) for net in nets])
    y = torch.tensor([[0, 1, 1], [1, 1, 0], [0, 0, 1], [-1, -1, -1], [1, 0, 0]])
    y = y if task == "multilabel" else y[:, :2]
    mask = (
        torch.tensor([1, 0, 1, 1, 1])
        if task == "multilabel"
        else torch.tensor([[1, 0], [1, 1], [0, 0], [1, 1], [0, 1]])
    )
    terms = method(Cohort(nets), Batch(x, y, task=task, mask=mask))
    for i in range(3):
        torch.testing.assert_close(terms["task"][i], naive.task_loss(z[i], y, task, mask=mask))
    if isinstance(method, DML):
        rows = [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
        flat, kept = (z, mask) if task == "multilabel" else (z.flatten(1, 2), mask.flatten())
        expected = naive.along(rows, "kl", flat, flat.detach(), task, 2.0, mask=kept.expand(3, -1))
        torch.testing.assert_close(terms["mimic"], expected)


# Unlabelled samples ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [DML(), DMLEnsemble()])
def test_a_batch_without_labels_gives_imitation_and_no_cross_entropy(method, execute):
    nets = small_nets.several("ccc")
    labelled = method(Cohort(copy.deepcopy(nets), execute=execute), Batch(X, Y))
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    terms = method(cohort, Batch(X, torch.full_like(Y, -1)))
    assert terms["task"].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(terms["mimic"], labelled["mimic"])
    assert terms["mimic"].min() > 1e-3
    total(terms).backward()
    assert all(any(float(g.abs().max()) > 1e-5 for g in own.values()) for own in gradients(cohort))


def test_each_term_is_a_mean_over_its_own_samples():
    nets = small_nets.several("ccc")
    y = torch.tensor([0, -1, -1, 1, -1, -1])
    terms = DML()(Cohort(copy.deepcopy(nets)), Batch(X, y))
    logits = [net(X) for net in nets]
    for k, z in enumerate(logits):
        torch.testing.assert_close(terms["task"][k], naive.label_loss(z[[0, 3]], y[[0, 3]]))
        torch.testing.assert_close(terms["mimic"][k], naive.dml_loss(k, logits))


@pytest.mark.parametrize(("progress", "factor"), [(None, 1.0), (0.25, 2.718281828459045**-1.25), (0.8, 1.0)])
def test_unlabelled_samples_may_count_less_and_the_term_rises_from_step_to_step(progress, factor):
    nets = small_nets.several("ccc")
    y = torch.tensor([0, -1, -1, 1, -1, 2])
    terms = DML(unlabelled_weight=0.3, ramp=0.5)(Cohort(copy.deepcopy(nets)), Batch(X, y), progress)
    z = [net(X).detach() for net in nets]
    weights = torch.where(y < 0, 0.3, 1.0)
    for k in range(3):
        each = torch.stack([naive.dml_loss(k, [logits[b : b + 1] for logits in z]) for b in range(6)])
        expected = factor * (weights * each).sum() / weights.sum()
        torch.testing.assert_close(terms["mimic"][k].detach(), expected, rtol=1e-6, atol=0)


def test_unlabelled_samples_of_several_labels_may_count_less():
    nets = heads(3)
    x = torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.tensor([[0, 1, 1], [-1, -1, -1], [0, 0, 1], [-1, -1, -1]])
    labelled = DML()(Cohort(nets), Batch(x[[0, 2]], y[[0, 2]], task="multilabel"))
    got = DML(unlabelled_weight=0.0)(Cohort(nets), Batch(x, y, task="multilabel"))
    torch.testing.assert_close(got, labelled)


def test_peers_may_have_batches_of_their_own_in_blocks(execute):
    nets = small_nets.several("cccc")
    x, y = small_nets.images(2, 6), torch.tensor([[0, 1, 2, 0, 2, 1], [2, 2, 2, 1, 0, -1]])
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    terms = repeat_graphs(DML(), 2)(cohort, Batch(PerPeer(x), y[[0, 0, 1, 1]]))
    for block in range(2):
        pair = nets[2 * block : 2 * block + 2]
        expected = DML()(Cohort(copy.deepcopy(pair)), Batch(x[block], y[block]))
        for name, term in expected.items():
            torch.testing.assert_close(terms[name][2 * block : 2 * block + 2], term)


# Steps --------------------------------------------------------------------------------------------------------------


def run_of(update, execute, **settings):
    return Run(
        method="dml", models=("cnn:width=4",), peers=3, update=update, execute=execute, labels=60, batch=30, epochs=1,
        learning_rate=0.2, precision="float64", **settings,
    )  # fmt: skip


def after_one_step(update, execute):
    fleet = build_fleet([run_of(update, execute)])
    terms = take(fleet, 0, 0)
    return [{n: t.clone() for n, t in fleet.cohort.peer_state(i).items()} for i in range(3)], terms[0]


def test_in_turn_differs_from_together_from_the_second_network_on(execute):
    together, terms = after_one_step("together", execute)
    in_turn, later = after_one_step("in_turn", execute)
    torch.testing.assert_close(in_turn[0], together[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(terms["task"], later["task"], rtol=1e-9, atol=1e-12)
    assert terms["mimic"][0].item() == pytest.approx(later["mimic"][0].item(), rel=1e-9)
    for i in (1, 2):
        assert abs(terms["mimic"][i].item() - later["mimic"][i].item()) > 1e-6
        largest = max(float((in_turn[i][n] - t).abs().max()) for n, t in together[i].items())
        assert largest > 1e-6


@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
def test_batch_statistics_advance_once_a_step_in_every_mode(update, execute):
    fleet = build_fleet([run_of(update, execute)])
    for step in range(2):
        take(fleet, 0, step)
        counts = [int(t) for i in range(3) for n, t in fleet.cohort.peer_state(i).items() if "num_batches" in n]
        assert counts
        assert set(counts) == {step + 1}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weight": -1.0}, "weight=-1.0: give a number at least 0"),
        ({"weight": float("nan")}, "weight=nan: give a number"),
        ({"weight": "much"}, "weight='much': give a number"),
        ({"weight": True}, "weight=True: give a number"),
        ({"temperature": 0.0}, "temperature=0.0: give a number at least 1e-06"),
        ({"ramp": 2.0}, "ramp=2.0: give a number from 0 to 1"),
        ({"unlabelled_weight": -1}, "unlabelled_weight=-1: give a number at least 0"),
        ({"total": "max"}, "total='max': choose 'mean'"),
        ({"graph": "ring", "total": "sum"}, "total='sum' is for the complete graph"),
        ({"graph": "rign"}, "no graph is called 'rign': did you mean 'ring'"),
        ({"divergence": "kll"}, "no divergence is called 'kll': did you mean 'kl'"),
    ],
)
def test_invalid_settings_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        DML(**settings)


def test_a_graph_for_another_number_of_peers_is_refused():
    with pytest.raises(ValueError, match=r"the graph's matrix is \(2, 2\), the cohort needs \(3, 3\)"):
        DML(graph=[[0.0, 1.0], [1.0, 0.0]])(Cohort(small_nets.several("ccc")), Batch(X, Y))
