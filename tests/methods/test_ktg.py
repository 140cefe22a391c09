"""The knowledge transfer graph."""

import copy
import warnings

import pytest
import torch

import naive
import small_nets
from codistill import methods
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import IdenticalPeers, get
from codistill.methods.dml import DML
from codistill.methods.kd import KD
from codistill.methods.ktg import KTG
from codistill.methods.parts.gates import classified
from codistill.spec import UnknownName
from codistill.training.initial_weights import teacher_networks
from methods.references import check, check_seeds, teacher_folder, training_of

X, Y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])
MIXED = [
    ["through", "correct", "linear"],
    ["cutoff", "linear", "through"],
    ["correct", "cutoff", "cutoff"],
]


def gated(gate, losses, progress, right=None):
    """Mean over samples of what a gate makes of each one's loss."""
    total = 0.0
    for b, loss in enumerate(losses):
        factor = {"through": 1.0, "cutoff": 0.0, "linear": progress, "correct": right is None or float(right[b])}[gate]
        total = total + factor * loss
    return total / len(losses)


def transfer(gates, z, others, y, progress, weight=1.0, temperature=1.0, mean=False):
    """Each network's terms: z and others are lists of [B, C], others detached; gates [i][j], [i][i] of the labels."""
    task, mimic = [], []
    for i, own in enumerate(z):
        labels = [naive.label_loss(own[b : b + 1], y[b : b + 1]) for b in range(len(y))]
        task.append(gated(gates[i][i], labels, progress))
        total, edges = 0.0, 0
        for j, source in enumerate(others):
            if i == j:
                continue
            losses = [
                temperature**2 * naive.softmax_kl(source[b : b + 1], own[b : b + 1], temperature) for b in range(len(y))
            ]
            right = [int(source[b].argmax()) == int(y[b]) for b in range(len(y))]
            total = total + gated(gates[i][j], losses, progress, right)
            edges += gates[i][j] != "cutoff"
        mimic.append(weight * total / (max(edges, 1) if mean else 1))
    return task, mimic


def everywhere(gate, students, nodes):
    return [["through" if i == j else gate for j in range(nodes)] for i in range(students)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"), peers=2)


# Three steps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("gate", ["through", "linear", "correct"])
def test_three_steps_with_one_gate_for_all_edges(gate, execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        terms = transfer(everywhere(gate, 3, 3), z, [one.detach() for one in z], batch.y, progress)
        return sum(sum(kind) for kind in terms)

    check(training_of(f"ktg:gates={gate}", execute=execute), loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_with_a_gate_for_every_edge(execute, monkeypatch):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        terms = transfer(MIXED, z, [one.detach() for one in z], batch.y, progress, 0.7, 2.0, mean=True)
        return sum(sum(kind) for kind in terms)

    monkeypatch.setattr(methods, "get", lambda spec: KTG(MIXED, weight=0.7, temperature=2.0, total="mean"))
    check(training_of("ktg", execute=execute), loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_with_teachers_among_the_nodes(execute, folder):
    training = training_of("ktg:gates=correct,teacher=t", execute=execute, teacher=folder)
    teachers = [net.double().eval() for net in teacher_networks(folder, training.fleet.run, training.fleet.dataset)]
    assert len(teachers) == 2

    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        nodes = [one.detach() for one in z] + [t(batch.x).detach() for t in teachers]
        terms = transfer(everywhere("correct", 3, 5), z, nodes, batch.y, progress)
        return sum(sum(kind) for kind in terms)

    check(training, loss)


@pytest.mark.parametrize("gate", ["correct", "linear"])
def test_two_seeds_in_one_fleet_are_two_runs(gate):
    check_seeds(f"ktg:gates={gate}", execute="stack")


def test_gates_with_a_teacher():
    x, y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])
    gates = [["through", "correct", "linear"], ["through", "linear", "correct"]]  # two learn, one teaches
    nets, (taught,) = small_nets.several("cc"), small_nets.several("c", seed=1)
    method = KTG(gates, teacher=Cohort([copy.deepcopy(taught)]).frozen())
    terms = method(Cohort(copy.deepcopy(nets), execute="stack"), Batch(x, y), 0.3)
    z = [net(x) for net in nets]
    expected = transfer(gates, z, [one.detach() for one in (*z, taught.eval()(x))], y, 0.3)
    for name, term in zip(("task", "mimic"), expected, strict=True):
        torch.testing.assert_close(terms[name], torch.stack(term))


# Gates --------------------------------------------------------------------------------------------------------------


def test_all_through_is_the_released_dml_and_the_mean_is_the_papers():
    cohort = Cohort(small_nets.several("ccl"))
    torch.testing.assert_close(KTG()(cohort, Batch(X, Y)), DML(total="sum")(cohort, Batch(X, Y)))
    torch.testing.assert_close(KTG(total="mean")(cohort, Batch(X, Y)), DML()(cohort, Batch(X, Y)))


def test_all_cut_off_is_training_alone():
    cohort = Cohort(small_nets.several("ccl"))
    terms = KTG("cutoff")(cohort, Batch(X, Y))
    assert terms["mimic"].tolist() == [0.0, 0.0, 0.0]
    torch.testing.assert_close(terms["task"], get("alone")(cohort, Batch(X, Y))["task"])
    sum(t.sum() for t in terms.values()).backward()


def test_one_way_from_a_teacher_alone_is_distillation():
    cohort, teacher = Cohort(small_nets.several("cc")), Cohort(small_nets.several("c", seed=1)).frozen()
    gates = [["through", "cutoff", "through"], ["cutoff", "through", "through"]]
    terms = KTG(gates, weight=0.9, temperature=4.0, teacher=teacher)(cohort, Batch(X, Y))
    expected = KD(teacher, task_weight=1.0)(cohort, Batch(X, Y))
    torch.testing.assert_close(terms, expected)


@pytest.mark.parametrize(("progress", "factor"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (None, 1.0)])
def test_a_linear_gate_opens_with_the_progress_of_the_training(progress, factor):
    cohort = Cohort(small_nets.several("ccc"))
    whole = KTG()(cohort, Batch(X, Y))
    terms = KTG("linear")(cohort, Batch(X, Y), progress)
    torch.testing.assert_close(terms["mimic"], factor * whole["mimic"])
    torch.testing.assert_close(terms["task"], whole["task"])
    labels = KTG([["linear", "cutoff"], ["through", "cutoff"]])(cohort[:2], Batch(X, Y), progress)
    torch.testing.assert_close(labels["task"], torch.stack([factor * whole["task"][0], 0.0 * whole["task"][1]]))


def test_the_mean_of_a_correct_gate_is_over_all_samples():
    nets = small_nets.several("cc")
    z = [net(X).detach() for net in nets]
    right = z[1].argmax(-1)
    some = torch.where(torch.arange(6) < 4, right, (right + 1) % 3)  # the source is right on four of six
    for y, kept in ((right, range(6)), (some, range(4)), ((right + 1) % 3, range(0))):
        terms = KTG("correct")(Cohort(copy.deepcopy(nets)), Batch(X, y))
        expected = sum(naive.softmax_kl(z[1][b : b + 1], z[0][b : b + 1]).item() for b in kept) / 6
        assert terms["mimic"][0].item() == pytest.approx(expected, abs=1e-14)


def test_without_a_label_nothing_is_correct_and_a_mask_is_heeded():
    nets = small_nets.several("cc")
    z = [net(X).detach() for net in nets]
    y = z[1].argmax(-1)
    y[2] = -1
    mask = torch.tensor([1, 1, 1, 0, 1, 1])
    for gate, kept in (("correct", [0, 1, 4, 5]), ("through", [0, 1, 2, 4, 5])):
        terms = KTG(gate)(Cohort(copy.deepcopy(nets)), Batch(X, y, mask=mask))
        expected = sum(naive.softmax_kl(z[1][b : b + 1], z[0][b : b + 1]).item() for b in kept) / 5
        assert terms["mimic"][0].item() == pytest.approx(expected)
        torch.testing.assert_close(terms["task"][0], naive.label_loss(nets[0](X)[[0, 1, 4, 5]], y[[0, 1, 4, 5]]))


def test_correct_in_every_task():
    z = torch.tensor([[2.0, 1.0, -1.0], [0.0, 1.0, 3.0]])
    assert classified(z, torch.tensor([0, 1]), "classes").tolist() == [True, False]
    assert classified(z, torch.tensor([-1, 2]), "tokens").tolist() == [False, True]
    assert classified(z[:, 1:2] - 2, torch.tensor([0, 1]), "binary").tolist() == [True, False]
    assert classified(z[:, :1], torch.tensor([1, -1]), "binary").tolist() == [True, False]
    labels = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert classified(z, labels, "multilabel").tolist() == [True, False]
    assert classified(z, torch.full_like(labels, -1), "multilabel").tolist() == [False, False]


@pytest.mark.parametrize("task", ["binary", "multilabel", "tokens"])
def test_other_tasks(task):
    torch.manual_seed(0)
    nets = [torch.nn.Linear(4, 1 if task == "binary" else 3).double() for _ in range(2)]
    x = torch.randn((5, 2, 4) if task == "tokens" else (5, 4), dtype=torch.float64)
    y = {
        "binary": torch.tensor([0, 1, 1, 0, -1]),
        "multilabel": torch.tensor([[0, 1, 1], [1, 1, 0], [0, 0, 1], [-1, -1, -1], [1, 0, 0]]),
        "tokens": torch.tensor([[0, 1], [2, 2], [1, -1], [0, 0], [1, 2]]),
    }[task]
    terms = KTG("correct", temperature=2.0)(Cohort(nets), Batch(x, y, task=task))
    z = [net(x).detach() for net in nets]
    right = classified(z[1], y, task)
    flat, other, right = (t.reshape(-1, *t.shape[2:]) if task == "tokens" else t for t in (z[0], z[1], right))
    each = [naive.sample_divergence("kl", other[b], flat[b], task, 2.0).item() for b in range(len(flat))]
    expected = sum(v for v, passed in zip(each, right.tolist(), strict=True) if passed) / len(each)
    assert terms["mimic"][0].item() == pytest.approx(expected)
    torch.testing.assert_close(terms["task"][0], naive.task_loss(nets[0](x), y, task))


def test_nothing_is_learnt_by_the_source_or_the_teacher():
    teacher = Cohort(small_nets.several("c", seed=1)).frozen()
    for gate in ("through", "linear", "correct"):
        cohort = Cohort(small_nets.several("cc"))
        z = cohort(X).logits
        method = KTG(gate, teacher=teacher)
        method(cohort, Batch(X, z[1].argmax(-1)), 0.5)["mimic"][0].backward()
        assert all(p.grad is None or not p.grad.any() for p in cohort.network(1).parameters())
        assert any(p.grad is not None and p.grad.any() for p in cohort.network(0).parameters())
        assert all(p.grad is None for p in teacher.parameters())


def test_identical_networks_are_warned_of_along_open_edges_only():
    a, b = small_nets.several("cc")
    cohort = Cohort([a, b, copy.deepcopy(a)])
    with pytest.warns(IdenticalPeers, match="peers 2 and 0 start with identical weights"):
        KTG()(cohort, Batch(X, Y))
    gates = [["through", "linear", "cutoff"], ["correct", "through", "linear"], ["cutoff", "through", "through"]]
    teacher = Cohort([copy.deepcopy(a)]).frozen()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KTG(gates)(cohort, Batch(X, Y))
        KTG("cutoff")(cohort, Batch(X, Y))
        KTG([[*row, "through"] for row in gates], teacher=teacher)(cohort, Batch(X, Y))


def test_what_cannot_be_is_said():
    with pytest.raises(UnknownName, match="no gate is called 'corect': did you mean 'correct'"):
        get("ktg:gates=corect")
    with pytest.raises(UnknownName, match="no gate is called 'open'"):
        KTG([["through", "open"], ["through", "through"]])
    with pytest.raises(UnknownName, match="no total is called 'max': did you mean 'mean'"):
        get("ktg:total=max")
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("ktg:weight=-1")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("ktg:temperature=0")
    cohort, teacher = Cohort(small_nets.several("ccc")), Cohort(small_nets.several("c", seed=1)).frozen()
    for gates in ([["through"] * 2] * 2, [["through"] * 3] * 2, [["through"] * 4] * 3):
        with pytest.raises(ValueError, match=f"gates are {len(gates)} x {len(gates[0])}, the cohort needs 3 x 3"):
            KTG(gates)(cohort, Batch(X, Y))
    with pytest.raises(ValueError, match="gates are 3 x 3, the cohort needs 3 x 4: .* teachers last"):
        KTG(MIXED, teacher=teacher)(cohort, Batch(X, Y))
    with pytest.raises(ValueError, match="gates are 2 x 2 and 2 x 3, the cohort needs 2 x 2"):
        KTG([["through"] * 2, ["through"] * 3])(cohort[:2], Batch(X, Y))
    with pytest.raises(ValueError, match="gates=3: give one of through, cutoff, linear, correct, or"):
        get("ktg:gates=3")
    with pytest.raises(ValueError, match="peers=1: 'ktg' has nobody to learn from"):
        training_of("ktg", peers=1)
