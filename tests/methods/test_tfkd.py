"""Teacher-free distillation from a past self, and where a comparison takes that from."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from codistill.methods.tfkd import TfKD
from codistill.run import Run
from codistill.study import Study, compare, costs
from codistill.training.build import build_fleet
from codistill.training.initial_weights import teacher_networks
from codistill.training.loop import train
from codistill.training.records import logged
from methods.references import (
    BASE,
    check,
    check_seeds,
    cohort_of,
    draw,
    leaves,
    same,
    teacher_folder,
    training_of,
    view,
)

Y = torch.tensor([0, 2, 1, 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"))


def terms_of(z, past, y, alpha=0.95, temperature=6.0, multiplier=50.0):
    """By term, of one network."""
    mimic = alpha * multiplier / 100 * temperature**2 * naive.softmax_kl(past, z, temperature)
    return {"task": (1 - alpha) * naive.label_loss(z, y), "mimic": mimic}


@pytest.mark.parametrize("options", [{}, {"alpha": 0.9, "temperature": 20.0, "multiplier": 100.0}])
def test_values_and_gradients(options):
    z, past = draw(3, 1, 4, 3), draw(3, 1, 4, 3, seed=1)
    cohort, teacher, batch = cohort_of(z), cohort_of(past).freeze(), Batch(view(0), Y)
    method, plain = TfKD(teacher, **options), leaves(z)
    method.prepare(cohort, batch)
    each = [terms_of(own[0], past[i, 0], Y, *options.values()) for i, own in enumerate(plain)]
    same(method(cohort, batch), {name: [one[name] for one in each] for name in each[0]}, cohort, plain)
    assert all(p.grad is None for p in teacher.parameters())


def test_the_multiplier_is_that_of_a_mean_over_a_hundred_classes():
    z, past = draw(1, 1, 4, 100), draw(1, 1, 4, 100, seed=1)
    found = TfKD(cohort_of(past).freeze())(cohort_of(z), Batch(view(0), Y))["mimic"]
    log_p, q = (z[:, 0] / 6).log_softmax(-1), (past[:, 0] / 6).softmax(-1)
    code = torch.nn.functional.kl_div(log_p, q, reduction="none").mean() * 6 * 6 * 50  # as the authors' code has it
    torch.testing.assert_close(found, 0.95 * code.reshape(1))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(folder, execute):
    training = training_of("tfkd:teacher=t", execute=execute, teacher=folder)
    fleet = training.fleet
    teachers = [net.double().eval() for net in teacher_networks(folder, fleet.run, fleet.dataset)]

    def loss(nets, batch, progress, method):
        pairs = zip(nets, teachers, strict=True)
        return sum(sum(terms_of(net(batch.x), past(batch.x).detach(), batch.y).values()) for net, past in pairs)

    check(training, loss)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds(f"tfkd:teacher={folder}", execute="stack")


def test_without_a_teacher_the_peers_imitate_each_other():
    z = draw(3, 1, 4, 3)
    method = get("tfkd:teacher=none,multiplier=100")
    kd = get("kd:teacher=none,task_weight=0.05,weight=0.95,temperature=6")
    batch = Batch(view(0), Y)
    torch.testing.assert_close(method(cohort_of(z), batch), kd(cohort_of(z), batch))


# In a comparison ----------------------------------------------------------------------------------------------------

SMALL = Run(models=("cnn:width=4",), labels=40, batch=20, epochs=1, peers=2)


def test_a_comparison_takes_the_past_self_from_the_twin_and_the_teacher_of_kd_never():
    base, kd, past = Study("s", SMALL, ("kd:peers=2", "tfkd"), (0, 1)).entries
    assert (kd.teacher, past.teacher) == ("alone", "alone")
    assert str(kd.method) == "kd:teacher=alone,graph=ring"
    assert str(past.method) == "tfkd:teacher=alone"
    assert (base.run.peers, past.run.peers, past.cohort) == (2, 2, 1)


def test_one_network_has_a_past_self_and_no_other_teacher():
    Study("s", SMALL.replace(peers=1), ("tfkd",), (0,))
    with pytest.raises(
        ValueError, match="peers=1: 'kd:teacher=alone,graph=ring' needs a teacher other than the student's own twin"
    ):
        Study("s", SMALL.replace(peers=1), ("kd",), (0,))


def test_a_network_and_its_past_self_start_alike_and_the_past_self_was_trained(tmp_path):
    runs = [BASE.replace(method="alone", seed=seed, epochs=1) for seed in (3, 5)]
    starts = [net.state_dict() for net in map(build_fleet(runs).cohort.network, range(6))]
    list(logged(train(runs, tmp_path), tmp_path))
    fleet = build_fleet([run.replace(method=f"tfkd:teacher={tmp_path}") for run in runs])
    method = fleet.members[0].method
    assert torch.equal(method.graph.matrix(6, 6), torch.eye(6))
    for i, start in enumerate(starts):
        one, two = fleet.cohort.peer_state(i), method.teacher.peer_state(i)
        assert all(torch.equal(one[name], start[name]) for name in start)
        assert not any(torch.equal(one[name], two[name]) for name in start)


def test_a_comparison_runs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(costs, "TIMED_ROUNDS", 1)
    *_, last = compare(Study("s", SMALL.replace(peers=1), ("tfkd",), (0, 1)), tmp_path / "new")
    rows = {row["method"]: row for row in last.facts["rows"]}
    assert rows["tfkd:teacher=alone"]["networks"] == 2
    assert rows["tfkd:teacher=alone"]["label"] == "Tf-KD self"


def test_what_cannot_be_is_said(folder):
    with pytest.raises(ValueError, match="alpha=2: give a number from 0 to 1"):
        get("tfkd:teacher=none,alpha=2")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("tfkd:teacher=none,temperature=0")
    with pytest.raises(ValueError, match="multiplier=-1: give a number at least 0"):
        get("tfkd:teacher=none,multiplier=-1")
    with pytest.raises(ValueError, match="teacher has 3 networks for 4 peers, and each learns from its past self"):
        training_of("tfkd:teacher=t", teacher=folder, peers=4)
    with pytest.raises(ValueError, match="method 'tfkd' needs teacher"):
        get("tfkd")
