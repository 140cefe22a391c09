"""Codistillation."""

import copy

import pytest
import torch

import naive
from codistill import checkpoint
from codistill.batch import Batch, PerPeer
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.training.loop import resume, train
from codistill.training.records import logged
from fleet_batches import batches_of
from methods.references import BASE, check, check_seeds, training_of


class Stale:
    """Copies of plain modules, renewed every so many steps."""

    def __init__(self, every):
        self.every, self.steps, self.copies = every, 0, None

    def predict(self, nets, j, x):
        self.copies = copy.deepcopy(nets) if self.copies is None else self.copies
        with torch.no_grad():
            return self.copies[j].eval()(x)

    def renew(self, nets, *_):
        self.steps += 1
        if self.steps % self.every == 0:
            self.copies = copy.deepcopy(nets)


def probabilities(z, temperature):
    return torch.stack([naive.softmax(row, temperature) for row in z])


def kl(q, z, temperature):
    p = probabilities(z, temperature)
    return (q * (torch.log(q) - torch.log(p))).sum() / len(z)


def losses(stale, burn_in, weight=1.0, temperature=1.0):
    def loss(nets, batch, progress, method):
        total = 0.0
        for i, net in enumerate(nets):
            x = batch.x.inputs[i] if isinstance(batch.x, PerPeer) else batch.x
            y = batch.y[i] if batch.y.dim() == 2 else batch.y
            past = [probabilities(stale.predict(nets, j, x), temperature) for j in range(len(nets)) if j != i]
            z = net(x)
            on = 1.0 if progress >= burn_in and stale.steps >= stale.every else 0.0
            mimic = kl(sum(past) / len(past), z, temperature)
            total = total + naive.label_loss(z, y) + on * weight * temperature**2 * mimic
        return total

    return loss


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("every", [1, 2])
def test_six_steps_from_stale_copies_after_the_burn_in(execute, every):
    stale = Stale(every)
    spec = f"codistillation:burn_in=0.2,exchange_every={every}"
    check(training_of(spec, execute=execute), losses(stale, 0.2), after=stale.renew, steps=6)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_four_steps_each_on_data_of_its_own(execute):
    stale = Stale(2)
    spec = "codistillation:burn_in=0.2,exchange_every=2,weight=0.5,temperature=2"
    training = training_of(spec, execute=execute, shards=True, batch=10, epochs=3)
    (batch,) = batches_of(training.fleet, 0, 0)
    assert batch.x.inputs.shape[:2] == (3, 10)
    check(training, losses(stale, 0.2, 0.5, 2.0), after=stale.renew, steps=4)


def test_three_steps_on_views_of_their_own():
    stale = Stale(1)
    spec = "codistillation:burn_in=0,exchange_every=1"
    training = training_of(spec, own_views=True, augment=("crop:pad=1",), execute="stack")
    check(training, losses(stale, 0.0), after=stale.renew)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_four_steps_from_current_logits(execute):
    def loss(nets, batch, progress, method):
        z = [net(batch.x) for net in nets]
        total = 0.0
        for i, own in enumerate(z):
            others = [probabilities(other.detach(), 1.0) for j, other in enumerate(z) if j != i]
            on = 1.0 if progress >= 0.4 else 0.0
            total = total + naive.label_loss(own, batch.y) + on * kl(sum(others) / len(others), own, 1.0)
        return total

    check(training_of("codistillation:exchange=logits", execute=execute), loss, steps=4)


@pytest.mark.parametrize(
    "settings",
    [{}, {"shards": True, "batch": 10}, {"exchange": "logits"}, {"exchange": "posteriors", "labels": 30}],
    ids=["shared", "shards", "logits", "posteriors"],
)
def test_two_seeds_in_one_fleet_are_two_runs(settings):
    settings = dict(settings)
    exchange = settings.pop("exchange", "weights")
    check_seeds(f"codistillation:burn_in=0,exchange_every=2,exchange={exchange}", execute="stack", **settings)


def passes(training):
    method = training.fleet.members[0].method
    return training.fleet.cohort.passes.forward, method.copies.passes.forward if hasattr(method, "copies") else 0


def test_burning_in_costs_no_pass_of_a_copy():
    training = training_of("codistillation:burn_in=0.5,exchange_every=1")
    for _ in range(3):
        (terms,) = training.advance()
        assert not terms["mimic"].any()
    assert passes(training) == (9, 0)
    (terms,) = training.advance()
    assert (terms["mimic"] > 0).all()
    assert passes(training) == (12, 3)


def test_on_data_of_their_own_every_other_copy_runs_once_on_each_batch():
    training = training_of("codistillation:burn_in=0,exchange_every=1", shards=True, batch=10)
    training.advance()
    assert passes(training) == (3, 0)
    training.advance()
    assert passes(training) == (6, 6)


def test_before_the_first_exchange_nobody_imitates():
    training = training_of("codistillation:burn_in=0,exchange_every=3")
    mimics = [training.advance()[0]["mimic"] for _ in range(5)]
    assert [bool((mimic > 0).all()) for mimic in mimics] == [False, False, False, True, True]
    assert not torch.stack(mimics[:3]).any()
    assert passes(training) == (15, 6)


def test_logits_need_no_copies():
    training = training_of("codistillation:exchange=logits,burn_in=0")
    training.advance()
    assert passes(training) == (3, 0)
    assert not any("copies" in name for name in training.fleet.members[0].method.state_dict())


def test_copies_stand_still_between_exchanges():
    training = training_of("codistillation:exchange_every=3", execute="stack")
    copies = training.fleet.members[0].method.copies
    start = copies.peer_state(1)["fc.weight"].clone()
    for step in range(1, 7):
        training.advance()
        now = copies.peer_state(1)["fc.weight"]
        assert torch.equal(now, start) == (step % 3 != 0)
        if step % 3 == 0:
            assert torch.equal(now, training.fleet.cohort.peer_state(1)["fc.weight"])
            start = now.clone()


def test_no_gradient_reaches_the_imitated():
    torch.manual_seed(0)
    cohort = Cohort([naive.small_net().double() for _ in range(3)])
    batch = Batch(torch.randn(5, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3, -1]))
    for exchange in ("weights", "logits"):
        cohort.zero_grad(set_to_none=True)
        method = get("codistillation", exchange=exchange, exchange_every=1)
        method.prepare(cohort, batch)
        method.after_step(cohort, batch, 0.0)  # an exchange
        method(cohort, batch)["mimic"][1].backward()  # progress is not known: the burn-in is over
        moved = [
            any(p.grad is not None and bool(p.grad.any()) for p in cohort.network(i).parameters()) for i in range(3)
        ]
        assert moved == [False, True, False]


class Told:
    """What each network told the others of each sample, in the last round."""

    def __init__(self, every, temperature=1.0):
        self.every, self.temperature, self.steps = every, temperature, 0
        self.latest, self.sent, self.made, self.parts = {}, {}, [], []

    def loss(self, weight=1.0):
        def total_loss(nets, batch, progress, method):
            total, self.made = 0.0, []
            for i, net in enumerate(nets):
                own = isinstance(batch.x, PerPeer)
                x, y, index = (
                    (batch.x.inputs[i], batch.y[i], batch.index[i]) if own else (batch.x, batch.y, batch.index)
                )
                z = net(x)
                p = probabilities(z, self.temperature)
                self.made.append((index.tolist(), p.detach()))
                compared = [b for b in range(len(y)) if not own or y[b] < 0]
                others = [j for j in range(len(nets)) if j != i]
                known = [b for b in compared if all((j, int(index[b])) in self.sent for j in others)]
                self.parts.append(len(known) / len(compared))
                mimic = 0.0
                for b in known:
                    q = sum(self.sent[j, int(index[b])] for j in others) / len(others)
                    mimic = mimic + (q * (q.log() - p[b].log())).sum() / len(known)
                total = total + naive.label_loss(z[y >= 0], y[y >= 0]) + weight * self.temperature**2 * mimic
            return total

        return total_loss

    def tell(self, *_):
        for j, (numbers, p) in enumerate(self.made):
            self.latest |= {(j, number): row for number, row in zip(numbers, p, strict=True)}
        self.steps += 1
        if self.steps % self.every == 0:
            self.sent = dict(self.latest)


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize(
    "settings",
    [{"labels": 30, "batch": 10, "epochs": 3}, {"shards": "equal", "batch": 10, "unlabelled": 320, "epochs": 4}],
    ids=["common", "shards"],
)
def test_steps_from_posteriors_told_in_rounds(settings, execute):
    told = Told(2, 1.5)
    spec = "codistillation:exchange=posteriors,exchange_every=2,burn_in=0,temperature=1.5,weight=0.5"
    training = training_of(spec, execute=execute, **settings)
    check(training, told.loss(0.5), after=told.tell, steps=6)
    assert not any(told.parts[: 2 * 3])  # nothing was told before the first round
    assert any(0 < part < 1 for part in told.parts)  # nor was everything in it


def test_posteriors_stand_still_between_two_rounds():
    spec = "codistillation:exchange=posteriors,exchange_every=3,burn_in=0"
    training = training_of(spec, labels=30, batch=10, epochs=3)
    method = training.fleet.members[0].method
    before = method.sent.clone()
    for step in range(1, 8):
        training.advance()
        assert torch.equal(method.sent, before) == (step % 3 != 0)
        before = method.sent.clone()


@pytest.mark.parametrize("update", ["in_turn", "fresh_batch"])
def test_peers_that_take_turns_tell_what_they_made_of_their_own_batch(update):
    spec = "codistillation:exchange=posteriors,exchange_every=1,burn_in=0"
    training = training_of(spec, update=update, labels=30, batch=10, epochs=3)
    method = training.fleet.members[0].method
    training.advance()
    for peer in range(3):
        (batch,) = batches_of(training.fleet, 0, 0, peer if update == "fresh_batch" else 0)
        seen = method.sent[peer].sum(-1) > 0
        assert seen.nonzero().flatten().tolist() == sorted(batch.index.tolist())
    assert (training.advance()[0]["mimic"] >= 0).all()


@pytest.mark.parametrize("leave", [3, 5, 6])
def test_a_run_that_tells_posteriors_and_was_left_ends_where_an_unbroken_one_does(leave, tmp_path):
    run = BASE.replace(
        method="codistillation:exchange=posteriors,exchange_every=2,burn_in=0",
        shards="equal",
        batch=10,
        unlabelled=320,
        epochs=4,
        checkpoint_every=0,
        execute="stack",
    )
    runs = [run, run.replace(seed=1)]
    list(logged(train(runs, tmp_path / "whole"), tmp_path / "whole"))
    folder = tmp_path / "left"
    records = logged(train(runs, folder), folder)
    for record in records:
        if record.kind == "step" and record.step == leave:
            break
    records.close()
    list(logged(resume(folder), folder))
    one, two = (checkpoint.load(checkpoint.latest(path)) for path in (tmp_path / "whole", folder))
    for a, b in ((one.peers, two.peers), (one.state, two.state)):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    tables = [name for name in one.state if name.endswith(("latest", "sent"))]
    assert len(tables) == 4
    assert all(one.state[name].any() for name in tables)


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="no exchange is called 'weight': did you mean 'weights'"):
        get("codistillation:exchange=weight")
    with pytest.raises(ValueError, match="exchange_every=0: give a whole number of at least 1"):
        get("codistillation:exchange_every=0")
    with pytest.raises(ValueError, match="burn_in=2: give a number from 0 to 1"):
        get("codistillation:burn_in=2")
    for exchange in ("logits", "posteriors"):
        with pytest.raises(ValueError, match="shards='equal': peers of 'codistillation:exchange=.*set unlabelled"):
            training_of(f"codistillation:exchange={exchange}", shards=True, batch=10)
    own = Batch(PerPeer(torch.zeros(2, 3, 1, 8, 8)), torch.tensor([[0, 1, 2], [2, 1, 0]]))
    with pytest.raises(ValueError, match="exchange='logits': peers have samples of their own; use exchange=weights"):
        get("codistillation:exchange=logits").prepare(Cohort([naive.small_net(), naive.small_net()]), own)
    numberless = Batch(torch.zeros(4, 1, 8, 8), torch.zeros(4).long())
    with pytest.raises(ValueError, match="exchange='posteriors' is by the samples' numbers"):
        get("codistillation:exchange=posteriors").prepare(Cohort([naive.small_net(), naive.small_net()]), numberless)
    training_of(
        "codistillation:exchange=logits", own_views=True, augment=("crop:pad=1",)
    )  # the same samples: it can be
    cohort = Cohort([naive.small_net(), naive.small_net()])
    with pytest.raises(ValueError, match="call method.prepare\\(cohort, batch\\) before the first step"):
        get("codistillation")(cohort, Batch(torch.zeros(4, 1, 8, 8), torch.zeros(4).long()))
