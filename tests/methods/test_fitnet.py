"""Hints."""

import pytest

import naive_features as naive
from codistill.methods import get
from codistill.spec import UnknownName
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
WEIGHT = 0.1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return wide_teachers(tmp_path_factory.mktemp("teachers"))


def edge(mine, theirs, module, place):
    number, row = place
    if mine.shape[1] != theirs.shape[1]:
        connector = module.connectors[number]
        mine = naive.conv(mine, connector.weight[row], connector.bias[row])
    return naive.squared(mine, theirs)


@EXECUTE
def test_three_steps_between_peers(execute):
    between_peers("fitnet:weight=0.1", edge, NAMES, WEIGHT, execute)


@EXECUTE
def test_three_steps_from_teachers_of_other_channels(folder, execute):
    from_teachers("fitnet:weight=0.1", edge, NAMES, WEIGHT, execute, folder)


def test_three_steps_between_unlike_peers():
    between_peers("fitnet:weight=0.1", edge, NAMES, WEIGHT, "loop", models=UNLIKE)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds("fitnet:teacher=none", execute="stack")
    check_seeds(f"fitnet:teacher={folder}", execute="loop", steps=2)


def test_nobody_moves_who_is_imitated_and_unlabelled_samples_imitate():
    check_gradients("fitnet")


def test_maps_of_other_sizes_are_refused_before_the_first_step():
    with pytest.raises(
        ValueError, match=r"feature 'stage3' is \[8, 4, 4\] in peer 0 and \[64, 2, 2\] in peer 1: .* same height and w"
    ):
        training_of("fitnet:teacher=none", models=("cnn:width=4", "resnet20"), peers=2)


def test_a_flat_feature_gets_a_linear_layer(folder):
    from_teachers("fitnet:features=fc:input", edge, ["fc:input"], WEIGHT, "stack", folder)
    between_peers("fitnet:features=fc:input", edge, ["fc:input"], WEIGHT, "loop", models=UNLIKE)


def test_connectors_are_there_only_where_channels_differ():
    assert not list(small("fitnet")[2].parameters())
    _, _, method = small("fitnet", "cwc")
    shapes = [tuple(c.weight.shape) if list(c.parameters()) else None for c in method.losses[0].connectors]
    assert shapes == [(1, 12, 8), None, (1, 8, 12), (1, 8, 12), None, (1, 12, 8)]


def test_peers_may_take_turns_where_there_are_no_connectors():
    training_of("fitnet:teacher=none", update="in_turn").advance()
    with pytest.raises(ValueError, match="this method has parameters of its own; use update='together'"):
        training_of("fitnet:teacher=none", update="in_turn", models=UNLIKE)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("fitnet:teacher=none,weight=-1")
    with pytest.raises(
        ValueError, match="method 'fitnet' needs teacher: give it a run's folder, or none for the peers"
    ):
        get("fitnet")
    with pytest.raises(UnknownName, match="no submodule of Sequential is called 'stage4': did you mean 'stage"):
        training_of("fitnet:teacher=none,features=stage4")
