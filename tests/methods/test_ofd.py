"""The overhaul of feature distillation."""

import pytest
import torch

import naive_features as naive
from codistill.methods import get
from codistill.spec import UnknownName
from codistill.training.build import build_fleet
from codistill.training.state import Training
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
NAMES = [f"stage{i} before ReLU" for i in (1, 2, 3)]
WEIGHT = 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return wide_teachers(tmp_path_factory.mktemp("teachers"))


def edge(mine, theirs, module, place):
    number, row = place
    connector = module.connectors[number]
    channels = theirs.shape[1]
    own = slice(row * channels, (row + 1) * channels)
    mapped = naive.conv(mine, connector.weight[row])
    return naive.ofd(naive.batch_norm(mapped, connector.norm.weight[own], connector.norm.bias[own]), theirs)


@EXECUTE
def test_three_steps_between_peers(execute):
    between_peers("ofd:weight=0.5", edge, NAMES, WEIGHT, execute)


@EXECUTE
def test_three_steps_from_teachers_of_other_channels(folder, execute):
    from_teachers("ofd:weight=0.5", edge, NAMES, WEIGHT, execute, folder)


def test_three_steps_between_unlike_peers():
    between_peers("ofd:weight=0.5", edge, NAMES, WEIGHT, "loop", models=UNLIKE)


def test_two_seeds_in_one_fleet_are_two_runs(folder):
    check_seeds("ofd:teacher=none", execute="stack")
    check_seeds(f"ofd:teacher={folder}", execute="loop", steps=2)


def test_nobody_moves_who_is_imitated_and_unlabelled_samples_imitate():
    check_gradients("ofd")


def test_maps_of_other_sizes_are_refused_before_the_first_step():
    with pytest.raises(
        ValueError, match=r"feature 'stage1' is \[4, 4, 4\] in peer 0 and \[16, 8, 8\] in peer 1: .* same height and w"
    ):
        training_of("ofd:teacher=none", models=("cnn:width=4", "resnet20"), peers=2)


def test_connectors_are_trained_one_for_each_edge_whatever_the_channels():
    _, _, method = small("ofd")
    assert [tuple(one.connectors[0].weight.shape) for one in method.losses] == [(6, 4, 4), (6, 8, 8), (6, 8, 8)]
    _, _, method = small("ofd", "cwc")
    shapes = [tuple(c.weight.shape) for c in method.losses[0].connectors]
    assert shapes == [(1, 6, 4), (1, 4, 4), (1, 4, 6), (1, 4, 6), (1, 4, 4), (1, 6, 4)]


def test_no_gradient_reaches_the_imitated_through_margin_or_mask():
    cohort, batch, method = small("ofd")
    method(cohort, batch)["mimic"][0].backward()
    assert not any(p.grad is not None and p.grad.any() for i in (1, 2) for p in cohort.network(i).parameters())
    grads = [p.grad for p in method.parameters()]  # of edges 0 and 1 only: those of peer 0
    assert all(g.unflatten(0, (6, -1))[:2].abs().sum() > 0 for g in grads)
    assert not any(g.unflatten(0, (6, -1))[2:].any() for g in grads)


def test_the_maps_are_those_before_the_relu():
    cohort, batch, method = small("ofd")
    pairs = method.pairs(*method.students_and_sources(cohort, batch))
    assert [pair.name for pair in pairs] == ["stage1", "stage2", "stage3"]
    _, found = naive.walk(cohort.network(1), batch.x)
    for pair, name in zip(pairs, NAMES, strict=True):
        assert (pair.students < 0).any()
        assert not pair.sources.requires_grad
        torch.testing.assert_close(pair.students[1], found[name])


def test_like_networks_may_be_tapped_before_and_after_their_relu_in_one_fleet():
    runs = [training_of(f"{name}:teacher=none", execute="stack").fleet.run for name in ("ofd", "at")]
    fleet = build_fleet(runs, execute="stack")
    assert [len(group.peers) for group in fleet.cohort.parts()] == [6]
    together, each = Training(fleet, None), [training_of(f"{n}:teacher=none", execute="stack") for n in ("ofd", "at")]
    with torch.no_grad():
        for mine, alone in zip(fleet.members, (t.fleet.members[0] for t in each), strict=True):
            for p, q in zip(mine.method.parameters(), alone.method.parameters(), strict=True):
                p.copy_(q)
    for _ in range(2):
        torch.testing.assert_close(together.advance(), [t.advance()[0] for t in each], rtol=1e-7, atol=1e-10)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="weight=-1: give a number at least 0"):
        get("ofd:teacher=none,weight=-1")
    with pytest.raises(ValueError, match="method 'ofd' needs teacher: give it a run's folder, or none for the peers"):
        get("ofd")
    with pytest.raises(UnknownName, match="no submodule of Sequential is called 'stag1': did you mean 'stage1'"):
        small("ofd:features=stag1")
    with pytest.raises(ValueError, match="feature 'pool': this Sequential has no ReLU module; name what comes before"):
        small("ofd:features=pool")
