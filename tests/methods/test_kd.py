"""Distillation by soft targets."""

import pytest

import naive
from codistill import checkpoint
from codistill.training.initial_weights import teacher_networks
from methods.references import check, teacher_folder, training_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"))


def softened(teacher, z, y, temperature=4.0):
    mimic = sum(naive.softmax_kl(t, z, temperature) for t in teacher) / len(teacher)
    return 0.1 * naive.label_loss(z, y) + 0.9 * temperature**2 * mimic


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_from_a_frozen_teacher(folder, execute):
    training = training_of("kd:teacher=t", execute=execute, teacher=folder)
    fleet = training.fleet
    teachers = [net.double().eval() for net in teacher_networks(folder, fleet.run, fleet.dataset)]
    assert checkpoint.latest(folder) is not None

    def loss(nets, batch, progress, method):
        targets = [net(batch.x).detach() for net in teachers]
        return sum(softened(targets, net(batch.x), batch.y) for net in nets)

    check(training, loss)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps_between_peers(execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        return sum(softened([o.detach() for j, o in enumerate(z) if j != i], z[i], batch.y) for i in range(3))

    check(training_of("kd:teacher=none", execute=execute), loss)
