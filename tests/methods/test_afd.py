"""Attentive feature distillation."""

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
NAMES = ["stage1", "stage2", "stage3"]
WEIGHT = 500.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return wide_teachers(tmp_path_factory.mktemp("teachers"))


def edge(mine, theirs, module, place):
    number, row = place
    gate, connector = module.weights[number], module.connectors[number]
    parts = [getattr(gate, name)[row] for name in ("squeeze", "squeeze_bias", "excite", "excite_bias")]
    if mine.shape[1] != theirs.shape[1]:
        mine = naive.conv(mine, connector.weight[row], connector.bias[row])
    return naive.afd(mine, theirs, naive.channel_weights(theirs, *parts))


@EXECUTE
def test_three_steps_between_peers(execute):
    between_peers("afd:weight=500", edge, NAMES, WEIGHT, execute)


@EXECUTE
def test_three_steps_from_teachers_of_other_channels(folder, execute):
    from_teachers("afd:weight=500", edge, NAMES, WEIGHT, execute, folder)


def test_three_steps_between_unlike_peers():
    between_peers("afd:weight=500", edge, NAMES, WEIGHT, "loop", models=UNLIKE)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds("afd:teacher=none", execute="stack")
    check_seeds(f"afd:teacher={folder}", execute="loop", steps=2)


def test_nobody_moves_who_is_imitated_and_unlabelled_samples_imitate():
    check_gradients("afd")


def test_maps_of_other_sizes_are_refused_before_the_first_step():
    with pytest.raises(
        ValueError, match=r"feature 'stage1' is \[4, 4, 4\] in peer 0 and \[16, 8, 8\] in peer 1: .* same height and w"
    ):
        training_of("afd:teacher=none", models=("cnn:width=4", "resnet20"), peers=2)


def test_the_weights_of_channels_are_of_the_source_trained_and_sum_to_one():
    cohort, batch, method = small("afd")
    pairs = method.pairs(*method.students_and_sources(cohort, batch))
    rho = method.losses[0].weights[0](pairs[0].sources[[1, 2, 0, 2, 0, 1]])
    assert rho.shape == (6, 6, 4)
    assert (rho > 0).all()
    torch.testing.assert_close(rho.sum(-1), torch.ones(6, 6, dtype=torch.float64))
    method(cohort, batch)["mimic"].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())


def test_connectors_are_there_only_where_channels_differ():
    for kinds, count in (("ccc", 0), ("cwc", 4)):
        _, _, method = small("afd", kinds)
        found = [c for one in method.losses for c in one.connectors if list(c.parameters())]
        assert len(found) == 3 * count


def test_the_hidden_width_follows_the_channels():
    _, _, method = small("afd:att_f=0.5")
    assert [tuple(one.weights[0].squeeze.shape) for one in method.losses] == [(6, 2, 4), (6, 4, 8), (6, 4, 8)]
    _, _, method = small("afd:att_f=0.01")
    assert method.losses[0].weights[0].squeeze.shape == (6, 1, 4)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("afd:teacher=none,weight=-1")
    with pytest.raises(ValueError, match="method 'afd' needs teacher: give it a run's folder, or none for the peers"):
        get("afd")
    with pytest.raises(ValueError, match="att_f=0: give a number at least 1e-06"):
        get("afd:teacher=none,att_f=0")
    with pytest.raises(ValueError, match=r"feature 'fc:input' is \[8\] in peer 0 and \[8\] in peer 1: .* channel maps"):
        small("afd:features=fc:input")
