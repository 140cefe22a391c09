"""Collaborative mutual learning."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.methods.cml import CML
from codistill.study import Study
from codistill.training.initial_weights import teacher_networks
from methods.references import check, check_seeds, cohort_of, draw, leaves, same, teacher_folder, training_of, view

Y = torch.tensor([0, 2, 1, 2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"), peers=2)


def terms_of(z, teachers, y, w=1.0, v=1.0, temperature=1.0):
    """By term, of each peer."""
    taught = [sum(naive.softmax_kl(t, own, temperature) for t in teachers) / len(teachers) for own in z]
    return {
        "task": [naive.label_loss(own, y) for own in z],
        "mimic": [w * naive.dml_loss(i, z) for i in range(len(z))],
        "teacher": [v * temperature**2 * value for value in taught],
    }


@pytest.mark.parametrize("options", [{}, {"weight": 0.5, "teacher_weight": 3.0, "temperature": 2.0}])
def test_values_and_gradients(options):
    z, t = draw(3, 1, 4, 3), draw(2, 1, 4, 3, seed=1)
    cohort, teacher = cohort_of(z), cohort_of(t).freeze()
    terms = CML(teacher, **options)(cohort, Batch(view(0), Y))
    plain = leaves(z)
    expected = terms_of([one[0] for one in plain], t[:, 0], Y, *options.values())
    same(terms, expected, cohort, plain)
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(folder, execute):
    training = training_of("cml:teacher=t", execute=execute, teacher=folder)
    fleet = training.fleet
    teachers = [net.double().eval() for net in teacher_networks(folder, fleet.run, fleet.dataset)]

    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        return sum(map(sum, terms_of(z, [net(batch.x).detach() for net in teachers], batch.y).values()))

    check(training, loss)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds(f"cml:teacher={folder}", execute="stack")


def test_each_student_may_have_a_teacher_of_its_own():
    z, t = draw(2, 1, 4, 3), draw(2, 1, 4, 3, seed=1)
    terms = CML(cohort_of(t).freeze(), graph="own")(cohort_of(z), Batch(view(0), Y))
    expected = torch.stack([naive.softmax_kl(t[i, 0], z[i, 0]) for i in range(2)])
    torch.testing.assert_close(terms["teacher"], expected)


def test_without_a_teacher_it_is_dml():
    z = draw(3, 1, 4, 3)
    found = get("cml:teacher=none,weight=0.3")(cohort_of(z), Batch(view(0), Y))
    torch.testing.assert_close(found, get("dml:weight=0.3")(cohort_of(z), Batch(view(0), Y)))


def test_the_symmetric_form_is_the_joint_loss_of_paddle_in_which_nothing_is_detached():
    z = draw(2, 1, 4, 3)
    cohort = cohort_of(z)
    sum(map(torch.sum, get("cml:teacher=none,divergence=symmetric_kl")(cohort, Batch(view(0), Y)).values())).backward()
    a, b = plain = leaves(z)
    both = 0.5 * (naive.softmax_kl(a[0], b[0]) + naive.softmax_kl(b[0], a[0]))
    (naive.label_loss(a[0], Y) + naive.label_loss(b[0], Y) + both).backward()
    for i in range(2):
        torch.testing.assert_close(cohort.network(i).z.grad, plain[i].grad)


def test_an_unlabelled_sample_imitates_peers_and_teacher():
    y = torch.tensor([0, 2, 1, -1])
    for name, moves in (("task", False), ("mimic", True), ("teacher", True)):
        cohort = cohort_of(draw(2, 1, 4, 3))
        CML(cohort_of(draw(1, 1, 4, 3, seed=1)).freeze())(cohort, Batch(view(0), y))[name].sum().backward()
        assert bool(cohort.network(0).z.grad[0, -1].any()) == moves


def test_a_comparison_gives_it_the_next_network_trained_alone_and_leaves_the_peers_complete():
    (_, entry) = Study("s", training_of("alone").fleet.run, ("cml:peers=4",), (0,)).entries
    assert str(entry.method) == "cml:teacher=alone,graph=ring"
    method = get(entry.method, teacher=cohort_of(draw(4, 1, 4, 3)).freeze())
    assert (method.peer_graph.name, method.graph.name) == ("complete", "ring")


def test_what_cannot_be_is_said():
    for option in ("weight", "teacher_weight"):
        with pytest.raises(ValueError, match=f"{option}=-1: give a number at least 0"):
            get(f"cml:teacher=none,{option}=-1")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("cml:teacher=none,temperature=0")
    with pytest.raises(ValueError, match="no graph is called 'compleet'"):
        get("cml:teacher=none,peer_graph=compleet")
    with pytest.raises(ValueError, match="method 'cml' needs teacher: give it a run's folder, or none"):
        get("cml")
    with pytest.raises(ValueError, match="give a frozen cohort"):
        CML(Cohort([naive.small_net()]))
    with pytest.raises(ValueError, match="peers=1: 'cml:teacher=none' has nobody to learn from"):
        training_of("cml:teacher=none", peers=1)
