"""Peers with a part of the data of their own."""

import pytest
import torch

from codistill.batch import PerPeer
from codistill.data.shards import Labels, deal_out
from codistill.run import Run
from codistill.training.batches import draw
from codistill.training.build import build_fleet
from fleet_batches import batches_of

RUN = Run(method="alone", peers=3, shards=True, models=("cnn:width=4",), labels=90, batch=10, epochs=2, execute="stack")


def labels(counts):
    y = torch.cat([torch.full((n,), c) for c, n in enumerate(counts)])
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    return Labels(y, tuple(map(str, range(len(counts)))))


@pytest.mark.parametrize("counts", [(30, 30, 30), (7, 50, 12, 4), (10, 10, 11), (1, 2, 3, 40)], ids=str)
@pytest.mark.parametrize("shards", [1, 2, 3, 4])
def test_shards_are_disjoint_of_one_size_and_stratified(counts, shards):
    whole = labels(counts)
    pieces = deal_out("equal", whole, shards, 0)
    assert len(pieces) == shards
    assert {len(piece) for piece in pieces} == {len(whole.y) // shards}
    numbers = torch.cat(pieces).tolist()
    assert len(set(numbers)) == len(numbers) > len(whole.y) - shards
    for piece in pieces:
        for c, count in enumerate(counts):
            assert abs(int((whole.y[piece] == c).sum()) - count / shards) <= 1


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
    with pytest.raises(
        ValueError, match="shards='equal': peers of 'dml' compare what they make of samples that all have"
    ):
        build_fleet([RUN.replace(method="dml")])
    with pytest.raises(
        ValueError, match="batch=40: the smallest of 3 shards has 30 examples to draw it from: set batch to 30"
    ):
        build_fleet([RUN.replace(batch=40)])
    with pytest.raises(ValueError, match="shards='equal': runs of one fleet need the same number of peers"):
        build_fleet([RUN, RUN.replace(peers=2)])
    with pytest.raises(
        ValueError, match="unlabelled=5: no example is left without a label: set labels, to less than 1000"
    ):
        build_fleet([RUN.replace(method="codistillation", unlabelled=5, labels=None)])
    with pytest.raises(
        ValueError, match="batch=12: the smallest of 3 shards has 10 examples to draw it from: set batch to 10 or less"
    ):
        build_fleet([RUN.replace(shards="table:0-7/8+9/0-9", batch=12)])


def test_older_runs_say_true_or_false_and_a_table_may_be_a_list():
    assert [str(RUN.replace(shards=value).shards) for value in (False, True)] == ["none", "equal"]
    assert str(Run.from_json(RUN.to_json().replace('"equal"', "true")).shards) == "equal"
    table = RUN.replace(shards=[[0, 2], [1, 3], [4]])
    assert str(table.shards) == "table:0+2/1+3/4"
    assert Run.from_json(table.to_json()) == table
    assert [run.private for run in (Run(), Run(shards="None"), RUN, table)] == [False, False, True, True]


UNLIKE = RUN.replace(method="codistillation:burn_in=0,exchange_every=2", shards="table:0-7/8+9/0-9", batch=6)


def test_unlike_shards_go_round_at_their_own_pace():
    fleet = build_fleet([UNLIKE])
    sizes = [len(loader.examples) for loader in fleet.streams.loaders]
    assert sum(sizes) == 90
    assert len(set(sizes)) == 3
    assert fleet.steps == 90 // 3 // 6
    drawn = [[] for _ in sizes]
    for epoch in range(8):
        for step in range(fleet.steps):
            (batch,) = batches_of(fleet, epoch, step)
            assert batch.private
            for peer, (y, index) in enumerate(zip(batch.y, batch.index, strict=True)):
                assert torch.equal(y, fleet.streams.loaders[peer].examples.y[index])
                drawn[peer].append(index.tolist())
    for numbers, size in zip(drawn, sizes, strict=True):
        once = size // 6  # full batches before it begins again, in another order
        for start in range(0, len(numbers) - once + 1, once):
            seen = [index for batch in numbers[start : start + once] for index in batch]
            assert len(set(seen)) == len(seen) == once * 6
        if len(numbers) >= 2 * once:
            assert numbers[:once] != numbers[once : 2 * once]


def test_peers_have_the_labels_of_their_classes():
    fleet = build_fleet([UNLIKE])
    found = [set(loader.examples.y.tolist()) for loader in fleet.streams.loaders]
    assert found == [set(range(8)), {8, 9}, set(range(10))]


@pytest.mark.parametrize("shards", ["equal", "table:0-7/8+9/0-9", "dirichlet:alpha=1,least=6"])
def test_unlabelled_samples_are_common_to_all_peers(shards):
    fleet = build_fleet([UNLIKE.replace(shards=shards, unlabelled=16, augment=("crop:pad=1",))])
    most = max(len(loader.examples) for loader in fleet.streams.loaders)
    for step in range(3):
        (batch,) = batches_of(fleet, 0, step)
        x, y, index = batch.x.inputs, batch.y, batch.index
        assert x.shape[:2] == y.shape == index.shape == (3, 22)
        assert (y[:, :6] >= 0).all()
        assert (y[:, 6:] == -1).all()
        for peer in range(1, 3):
            assert torch.equal(x[peer, 6:], x[0, 6:])
            assert torch.equal(index[peer, 6:], index[0, 6:])
            assert not torch.equal(x[peer, :6], x[0, :6])
        assert int(index[:, 6:].min()) >= most
        assert int(index.max()) < fleet.streams.samples
    assert not torch.equal(batches_of(fleet, 0, 0)[0].x.inputs[0, 6:], x[0, 6:])


def test_common_samples_are_those_without_a_label():
    fleet = build_fleet([UNLIKE.replace(unlabelled=16)])
    (parts,) = fleet.streams.parts
    assert len(parts.train) == 90
    assert len(parts.unlabelled) == len(fleet.dataset.train) - 90
    assert {one.numpy().tobytes() for one in fleet.streams.extra[0].examples.x} == {
        one.numpy().tobytes() for one in parts.unlabelled.x
    }


def test_seeds_side_by_side_have_what_they_have_alone():
    run = UNLIKE.replace(unlabelled=16, shards="dirichlet:alpha=1,least=6")
    both = batches_of(build_fleet([run, run.replace(seed=1)]), 3, 1)
    for batch, seed in zip(both, (0, 1), strict=True):
        (alone,) = batches_of(build_fleet([run.replace(seed=seed)]), 3, 1)
        assert torch.equal(batch.x.inputs, alone.x.inputs)
        assert torch.equal(batch.y, alone.y)


@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
def test_the_task_of_every_peer_is_its_own_labels_whoever_s_turn_it_is(update):
    from codistill.training.step import take

    run = UNLIKE.replace(unlabelled=16, precision="float64", update=update, learning_rate=1e-9)
    fleet = build_fleet([run])
    (terms,) = take(fleet, 0, 1)
    for peer in range(3):
        (batch,) = batches_of(fleet, 0, 1, peer if update == "fresh_batch" else 0)
        x, y = batch.x.inputs[peer], batch.y[peer]
        with torch.no_grad():
            z = fleet.cohort.network(peer).train()(x)
        expected = torch.nn.functional.cross_entropy(z[:6], y[:6])
        torch.testing.assert_close(terms["task"][peer], expected, rtol=1e-5, atol=1e-6)


def test_the_log_compares_peers_on_what_is_common(tmp_path):
    run = UNLIKE.replace(unlabelled=16, epochs=1)
    fleet = build_fleet([run])
    (batch,) = batches_of(fleet, 0, 0)
    with torch.no_grad():
        z = fleet.cohort(batch.x).logits[:, 6:]
    from codistill.training.edges import edges
    from codistill.training.state import Training

    training = Training(fleet, None)
    training.advance()
    (found,) = training.edges.means()
    torch.testing.assert_close(found["edges"], edges(z[None])["edges"])
    assert found["edges"].shape == (1, 3, 3)
