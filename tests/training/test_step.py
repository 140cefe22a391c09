"""What a step shares between methods, what it leaves alone, and what it hands to their hooks."""

import copy

import pytest
import torch

from codistill.batch import Inputs, PerPeer
from codistill.losses.labels import cross_entropy
from codistill.methods import Method
from codistill.run import Run
from codistill.training.batches import draw
from codistill.training.build import build_fleet
from codistill.training.fleet import slots
from codistill.training.step import take
from fleet_batches import batches_of

RUN = Run(method="alone", peers=3, models=("cnn:width=2",), labels=60, batch=20, precision="float64", execute="stack")
UPDATES = ["together", "in_turn", "fresh_batch"]


class Added(Method):
    """Besides its batch, it passes what it computed from the batch."""

    title = "Added"

    def forward(self, cohort, batch, progress=None):
        z = cohort(batch.x).logits
        added = cohort(PerPeer(batch.x.value.expand(3, *batch.x.value.shape) + 0)).logits
        return {"task": cross_entropy(z, batch.y), "other": cross_entropy(added, batch.y)}


class Summed(Method):
    title = "Summed"

    def forward(self, cohort, batch, progress=None):
        return {"task": cross_entropy(cohort(batch.x + 0).logits, batch.y)}


class Hooked(Method):
    """Keeps what its hook is given."""

    title = "Hooked"

    def forward(self, cohort, batch, progress=None):
        return {"task": cross_entropy(cohort(batch.x).logits, batch.y)}

    def after_step(self, cohort, batch, progress):
        self.given, self.latest = batch, cohort.latest()
        self.again = cohort(batch.x).logits


def moved(fleet):
    """How often each peer's batch statistics moved."""
    return [{int(t) for n, t in fleet.cohort.peer_state(i).items() if "num_batches" in n} for i in range(3)]


@pytest.mark.parametrize(("update", "passes"), [("together", (6, 6)), ("in_turn", (14, 6)), ("fresh_batch", (18, 6))])
@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_a_pass_of_what_is_computed_from_the_batch_is_counted_and_leaves_buffers_alone(update, passes, execute):
    run = RUN.replace(method=f"{__name__}:Added", update=update, execute=execute)
    fleet, plain = build_fleet([run]), build_fleet([run.replace(method="alone")])
    terms, alone = take(fleet, 0, 0)[0], take(plain, 0, 0)[0]
    torch.testing.assert_close(terms["other"], terms["task"])
    torch.testing.assert_close(terms["task"], alone["task"])
    assert moved(fleet) == [{1}] * 3
    assert (fleet.cohort.passes.forward, fleet.cohort.passes.backward) == passes
    for i in range(3):
        mine, theirs = fleet.cohort.peer_state(i), plain.cohort.peer_state(i)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine if "running" in name)


@pytest.mark.parametrize("update", UPDATES)
def test_an_operation_on_the_handle_is_an_error_that_says_what_to_do(update):
    fleet = build_fleet([RUN.replace(method=f"{__name__}:Summed", update=update)])
    with pytest.raises(TypeError, match=r"give it to a cohort as it is, cohort\(batch.x\)"):
        take(fleet, 0, 0)


@pytest.mark.parametrize("update", UPDATES)
def test_the_hook_gets_the_batch_that_each_peer_learned_from_and_its_latest_logits(update):
    fleet = build_fleet([RUN.replace(method=f"{__name__}:Hooked", update=update)])
    nets = [copy.deepcopy(fleet.cohort.network(i)).train() for i in range(3)]
    streams = range(3) if update == "fresh_batch" else [0] * 3
    expected = [batches_of(fleet, 0, 0, stream)[0] for stream in streams]
    take(fleet, 0, 0)
    method = fleet.members[0].method
    own = update == "fresh_batch"
    assert method.given.y.shape == method.given.index.shape == ((3, 20) if own else (20,))
    for i, batch in enumerate(expected):
        x = method.given.x.value
        assert torch.equal(x.inputs[i] if own else x, batch.x)
        assert torch.equal(method.given.y[i] if own else method.given.y, batch.y)
        assert torch.equal(method.given.index[i] if own else method.given.index, batch.index)
        torch.testing.assert_close(method.latest[i], nets[i](batch.x).detach())
    assert moved(fleet) == [{1}] * 3  # the hook's own pass moved none
    assert not method.again.requires_grad


def test_views_are_drawn_once_and_their_passes_are_shared(monkeypatch):
    runs = [RUN.replace(method=m, augment=("crop:pad=1",)) for m in ("ddgsd", "dml", "ddgsd:weight=2", "cskd")]
    fleet = build_fleet(runs)
    drawn = []
    (loader,) = fleet.streams.loaders
    plain = loader.batch
    monkeypatch.setattr(loader, "batch", lambda *where: drawn.append(where) or plain(*where))
    first, dml, second, cskd = draw(fleet.streams, fleet.members, (0, 1, 0))
    assert drawn == [(0, 1, 0, 0), (0, 1, 0, 1)]
    assert first.x.whole is dml.x.whole is second.x.whole is cskd.x.whole
    assert first.views[0].whole is second.views[0].whole
    assert first.views[0].whole.owners == (0, 1, 2, 6, 7, 8)
    assert dml.views == ()
    assert dml.partner is None
    assert isinstance(cskd.partner, Inputs)


def test_the_table_of_peers():
    pair, alone = RUN.replace(peers=2, update="in_turn"), RUN.replace(peers=1, update="in_turn")
    table = slots([pair, alone, pair.replace(seed=4)])
    assert [(s.run.peers, s.run.seed, s.number, s.row, s.turn, s.trunk) for s in table] == [
        (2, 0, 0, 0, 0, 0), (2, 0, 1, 0, 1, 0), (2, 4, 0, 1, 0, 1), (2, 4, 1, 1, 1, 1), (1, 0, 0, 0, 0, 2),
    ]  # fmt: skip
    sharded = RUN.replace(shards=True)
    assert [s.row for s in slots([sharded, sharded.replace(seed=1)])] == list(range(6))
