"""Attention transfer."""

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
NAMES = ["stage1", "stage2", "stage3"]
WEIGHT = 1000.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return wide_teachers(tmp_path_factory.mktemp("teachers"))


def edge(mine, theirs, module, place):
    return naive.at(mine, theirs)


@EXECUTE
def test_three_steps_between_peers(execute):
    between_peers("at:weight=1000", edge, NAMES, WEIGHT, execute)


@EXECUTE
def test_three_steps_from_teachers_of_other_channels(folder, execute):
    from_teachers("at:weight=1000", edge, NAMES, WEIGHT, execute, folder)


def test_three_steps_between_unlike_peers():
    between_peers("at:weight=1000", edge, NAMES, WEIGHT, "loop", models=UNLIKE)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds("at:teacher=none", execute="stack")
    check_seeds(f"at:teacher={folder}", execute="loop", steps=2)


def test_nobody_moves_who_is_imitated_and_unlabelled_samples_imitate():
    check_gradients("at")


def test_maps_of_other_sizes_are_refused_before_the_first_step():
    with pytest.raises(
        ValueError, match=r"feature 'stage1' is \[4, 4, 4\] in peer 0 and \[16, 8, 8\] in peer 1: .* same height and w"
    ):
        training_of("at:teacher=none", models=("cnn:width=4", "resnet20"), peers=2)


def test_another_power_is_taken():
    between_peers("at:weight=10,p=3", lambda s, t, *_: naive.at(s, t, p=3.0), NAMES, 10.0, "stack")
    between_peers("at:weight=10,features=stage2", lambda s, t, *_: naive.at(s, t), ["stage2"], 10.0, "stack")


def test_it_has_no_parameters():
    assert not list(small("at", "cwc")[2].parameters())


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("at:teacher=none,weight=-1")
    with pytest.raises(ValueError, match="method 'at' needs teacher: give it a run's folder, or none for the peers"):
        get("at")
    with pytest.raises(ValueError, match="p=0.5: give a number at least 1"):
        get("at:teacher=none,p=0.5")
    with pytest.raises(ValueError, match=r"feature 'fc:input' is \[8\] in peer 0 and \[8\] in peer 1: .* channel maps"):
        small("at:features=fc:input")
