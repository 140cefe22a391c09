"""What crosses in a step: the model, and the bytes that were counted."""

from dataclasses import replace

import pytest

from codistill.exchange.cost import Cost
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.state import Training
from jobs import job_of, noisy_squares

RUN = Run(models=("mlp:hidden=6,layers=1",), peers=3, labels=30, batch=7, epochs=1, execute="loop")


def crossed(mesh):
    """Bytes of the second step, which are those of every step of a full batch."""
    training = Training(build_fleet([RUN], dataset=noisy_squares(), mesh=mesh), None)
    training.advance()
    before = mesh.gathered, mesh.added
    training.advance()
    return mesh.gathered - before[0], mesh.added - before[1]


@pytest.mark.parametrize(("mesh", "processes"), [("peer=2", 2), ("data=2", 2), ("peer=2,data=2", 4), (None, 1)])
def test_the_model_counts_the_bytes_that_cross(mesh, processes):
    axes = dict(item.split("=") for item in (mesh or "").split(",") if item)
    sizes = {axis: int(axes.get(axis, 1)) for axis in ("peer", "data")}
    cost = Cost(**sizes, peers=3, batch=7, classes=5, parameters=16 * 6 + 6 + 6 * 5 + 5)
    found = job_of(crossed, mesh, processes)
    for gathered, added in found:
        assert gathered == cost.gathered
        assert added <= cost.added  # a place with fewer peers has fewer gradients
    assert max(added for _, added in found) == cost.added


def test_the_seconds_are_those_of_a_plain_count():
    cost = Cost(peer=2, data=4, peers=6, batch=64, classes=100, parameters=1000)
    outputs = 7 * (8 + 3 * 16 * 100 * 4)  # seven others, three peers each, sixteen samples
    gradients = 3 * 1000 * 4
    expected = 3 * 0.5 / 4 + outputs / 1e9 + 7 * 1e-5 + 2 * 3 / 4 * gradients / 1e9 + 6 * 1e-5
    assert cost.seconds(network=0.5, bandwidth=1e9, latency=1e-5) == pytest.approx(expected)


def test_what_a_shard_needs_of_others_targets():
    cost = Cost(peer=2, data=4, peers=5, batch=64, classes=100, positions=3, parameters=1000)
    samples, others = 16, 3  # a place has two peers, the other three
    assert cost.targets == others * samples * 3 * 100 * 4
    few = replace(cost, largest=20)
    assert few.targets == others * samples * 3 * (20 + 20 + 1) * 4
    assert few.gathered == cost.gathered  # which is sent whole
    assert replace(cost, largest=90).targets == cost.targets
