"""Neuron selectivity transfer."""

import pytest

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
NAMES = ["stage3"]
WEIGHT = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return wide_teachers(tmp_path_factory.mktemp("teachers"))


def edge(mine, theirs, module, place):
    return naive.nst(mine, theirs)


@EXECUTE
def test_three_steps_between_peers(execute):
    between_peers("nst:weight=10", edge, NAMES, WEIGHT, execute)


@EXECUTE
def test_three_steps_from_teachers_of_other_channels(folder, execute):
    from_teachers("nst:weight=10", edge, NAMES, WEIGHT, execute, folder)


def test_three_steps_between_unlike_peers():
    between_peers("nst:weight=10", edge, NAMES, WEIGHT, "loop", models=UNLIKE)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds("nst:teacher=none", execute="stack")
    check_seeds(f"nst:teacher={folder}", execute="loop", steps=2)


def test_nobody_moves_who_is_imitated_and_unlabelled_samples_imitate():
    check_gradients("nst")


def test_maps_of_other_sizes_are_refused_before_the_first_step():
    with pytest.raises(
        ValueError, match=r"feature 'stage3' is \[8, 4, 4\] in peer 0 and \[64, 2, 2\] in peer 1: .* same height and w"
    ):
        training_of("nst:teacher=none", models=("cnn:width=4", "resnet20"), peers=2)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("nst:teacher=none,weight=-1")
    with pytest.raises(ValueError, match="method 'nst' needs teacher: give it a run's folder, or none for the peers"):
        get("nst")
    with pytest.raises(ValueError, match=r"feature 'pool' is \[8\] in peer 0 and \[8\] in peer 1: .* channel maps"):
        small("nst:features=pool")
