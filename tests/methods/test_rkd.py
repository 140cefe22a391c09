"""Relational knowledge distillation."""

import pytest
import torch

import naive_features as naive
from codistill.methods import get
from methods.references import (
    UNLIKE,
    between_peers,
    check_gradients,
    check_seeds,
    from_teachers,
    small,
    training_of,
    wide_teachers,
)

EXECUTE = pytest.mark.parametrize("execute", ["loop", "stack"])
NAMES = ["fc:input"]
WEIGHT = 1.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return wide_teachers(tmp_path_factory.mktemp("teachers"))


def edge(mine, theirs, module, place):
    return 25.0 * naive.rkd_distance(mine, theirs) + 50.0 * naive.rkd_angle(mine, theirs)


@EXECUTE
def test_three_steps_between_peers(execute):
    between_peers("rkd:weight=1", edge, NAMES, WEIGHT, execute)


@EXECUTE
def test_three_steps_from_teachers_of_other_channels(folder, execute):
    from_teachers("rkd:weight=1", edge, NAMES, WEIGHT, execute, folder)


def test_three_steps_between_unlike_peers():
    between_peers("rkd:weight=1", edge, NAMES, WEIGHT, "loop", models=UNLIKE)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds("rkd:teacher=none", execute="stack")
    check_seeds(f"rkd:teacher={folder}", execute="loop", steps=2)


def test_nobody_moves_who_is_imitated_and_unlabelled_samples_imitate():
    check_gradients("rkd")


def test_either_half_may_be_left_out():
    between_peers("rkd:angle=0,distance=3", lambda s, t, *_: 3.0 * naive.rkd_distance(s, t), NAMES, 1.0, "stack")
    between_peers("rkd:angle=2,distance=0", lambda s, t, *_: 2.0 * naive.rkd_angle(s, t), NAMES, 1.0, "stack")


def test_nothing_but_the_samples_has_to_be_equal():
    small("rkd:features=stage1/fc:input", "crw")
    training = training_of("rkd:teacher=none", models=("cnn:width=4", "resnet20"), peers=2)
    (terms,) = training.advance()
    assert terms["mimic"].isfinite().all()


def test_no_sample_of_another_seed_is_compared():
    cohort, batch, method = small("rkd", "ccwccw", blocks=2)
    mimic = method(cohort, batch)["mimic"]
    with torch.no_grad():
        for i in (3, 4, 5):
            for p in cohort.network(i).parameters():
                p.mul_(1.5).add_(0.1)
    after = method(cohort, batch)["mimic"]
    assert torch.equal(mimic[:3], after[:3])
    assert (mimic[3:] != after[3:]).all()


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("rkd:teacher=none,weight=-1")
    with pytest.raises(ValueError, match="method 'rkd' needs teacher: give it a run's folder, or none for the peers"):
        get("rkd")
    with pytest.raises(ValueError, match="distance=0 and angle=0 leave nothing to imitate: set one above 0"):
        get("rkd:teacher=none,distance=0,angle=0")
    with pytest.raises(ValueError, match="batch=1: rkd compares the samples of a batch with each other; give it 2 or"):
        training_of("rkd:teacher=none", models=("mlp",), batch=1)
