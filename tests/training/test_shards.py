"""Peers with a part of the data of their own."""

import pytest
import torch

from codistill.batch import PerPeer
from codistill.data.examples import Examples
from codistill.run import Run
from codistill.training.batches import draw
from codistill.training.build import build_fleet
from codistill.training.streams import deal_out
from fleet_batches import batches_of

RUN = Run(method="alone", peers=3, shards=True, models=("cnn:width=4",), labels=90, batch=10, epochs=2, execute="stack")


def examples(counts):
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    x = torch.arange(len(y)).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).to(torch.uint8)  # every example shows its number
    return Examples(x.clone(), y)


@pytest.mark.parametrize("counts", [(30, 30, 30), (7, 50, 12, 4), (10, 10, 11), (1, 2, 3, 40)], ids=str)
@pytest.mark.parametrize("shards", [1, 2, 3, 4])
def test_shards_are_disjoint_of_one_size_and_stratified(counts, shards):
    whole = examples(counts)
    pieces = deal_out(whole, shards)
    assert len(pieces) == shards
    assert {len(piece) for piece in pieces} == {len(whole) // shards}
    numbers = [int(n) for piece in pieces for n in piece.x[:, 0, 0, 0]]
    assert len(set(numbers)) == len(numbers) > len(whole) - shards
    for piece in pieces:
        assert torch.equal(piece.y, whole.y[piece.x[:, 0, 0, 0].long()])
        for c, count in enumerate(counts):
            assert abs(int((piece.y == c).sum()) - count / shards) <= 1


def seen(fleet, epochs=1):
    """Of each peer, the examples of each epoch, as bytes."""
    found = [[] for _ in range(len(fleet.cohort))]
    for epoch in range(epochs):
        for step in range(fleet.steps):
            batches = draw(fleet.streams, fleet.members, (epoch, step, 0))
            inputs = torch.cat([b.x.value.inputs for b in batches])
            assert torch.equal(inputs, batches[0].x.whole.value.inputs)
            for peer, x in enumerate(inputs):
                found[peer] += [one.numpy().tobytes() for one in x]
    return found


def test_every_peer_sees_its_own_examples_and_all_of_them_in_an_epoch():
    fleet = build_fleet([RUN])
    assert fleet.steps == 3
    first, again = seen(fleet), seen(fleet, epochs=2)
    for own, twice in zip(first, again, strict=True):
        assert len(own) == 30
        assert set(own) == set(twice[30:])
        assert own != twice[30:]
    sets = [set(own) for own in first]
    assert all(sets[i].isdisjoint(sets[j]) for i in range(3) for j in range(i))
    whole = fleet.streams.parts[0].train
    assert len(set().union(*sets)) == len({one.numpy().tobytes() for one in whole.x})


def test_every_peer_has_an_order_of_its_own():
    (batch,) = batches_of(build_fleet([RUN]), 0, 0)
    assert isinstance(batch.x, PerPeer)
    assert batch.y.shape == batch.index.shape == (3, 10)
    assert not any(torch.equal(batch.index[i], batch.index[j]) for i in range(3) for j in range(i))
    assert not any(torch.equal(batch.y[i], batch.y[j]) for i in range(3) for j in range(i))


def test_seeds_have_their_own_shards_and_are_what_they_are_alone():
    together = seen(build_fleet([RUN, RUN.replace(seed=1)]))
    assert together == [*seen(build_fleet([RUN])), *seen(build_fleet([RUN.replace(seed=1)]))]


def test_every_peer_is_trained_on_its_own():
    from codistill.training.step import take

    fleet = build_fleet([RUN.replace(precision="float64")])
    (batch,) = batches_of(fleet, 0, 0)
    with fleet.cohort.remember(), torch.no_grad():
        z = fleet.cohort(batch.x).logits
    expected = torch.stack([torch.nn.functional.cross_entropy(own, y) for own, y in zip(z, batch.y, strict=True)])
    (terms,) = take(fleet, 0, 0)
    torch.testing.assert_close(terms["task"], expected)


def test_what_shards_cannot_be_is_said():
    with pytest.raises(ValueError, match="shards=True: peers of 'dml' compare what they make of the same samples"):
        build_fleet([RUN.replace(method="dml")])
    with pytest.raises(ValueError, match="batch=40: there are 30 examples to draw it from: set batch to 30 or less"):
        build_fleet([RUN.replace(batch=40)])
    with pytest.raises(ValueError, match="shards=True: runs of one fleet need the same number of peers"):
        build_fleet([RUN, RUN.replace(peers=2)])
    with pytest.raises(ValueError, match="unlabelled=5 and shards=True do not go together"):
        build_fleet([RUN.replace(method="codistillation", unlabelled=5)])
