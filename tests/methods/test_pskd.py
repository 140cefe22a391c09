"""Self-distillation with progressive refinement of targets."""

import copy

import pytest
import torch

import naive
from codistill import checkpoint
from codistill.batch import Batch
from codistill.methods import get
from codistill.training.loop import resume, train
from codistill.training.records import logged
from fleet_batches import batches_of
from methods.references import BASE, check, check_seeds, cohort_of, draw, leaves, same, training_of, view

Y = torch.tensor([0, 2, 1, 2])


def soft_loss(z, targets):
    """-(1/B) sum over samples and classes of target log p."""
    total = 0.0
    for row, target in zip(z, targets, strict=True):
        p = naive.softmax(row)
        total = total - sum(t * torch.log(q) for t, q in zip(target, p, strict=True))
    return total / len(z)


def one_hot(label, classes):
    return torch.tensor([float(c == int(label)) for c in range(classes)], dtype=torch.float64)


class Book:
    """What each network gave each sample in its training passes, by epoch: {epoch: [{sample: posterior}]}."""

    def __init__(self, steps, epochs, alpha=0.8):
        self.steps, self.epochs, self.alpha, self.step, self.pages = steps, epochs, alpha, 0, {}

    def loss(self, nets, batch, progress, method):
        epoch = self.step // self.steps
        page = self.pages.setdefault(epoch, [{} for _ in nets])
        before = self.pages.get(epoch - 1, [{} for _ in nets])
        a = self.alpha * (epoch + 1) / self.epochs
        total = 0.0
        for i, net in enumerate(nets):
            z = net(batch.x)
            targets = []
            for n, y, row in zip(batch.index.tolist(), batch.y, z.detach(), strict=True):
                label = one_hot(y, z.shape[1])
                targets.append((1 - a) * label + a * before[i].get(n, label))
                page[i][n] = naive.softmax(row)
            total = total + soft_loss(z, targets)
        self.step += 1
        return total


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_epochs_of_which_each_misses_samples(execute):
    settings = {"batch": 25, "drop_last": True, "epochs": 3, "augment": ("crop:pad=1",)}
    training = training_of("pskd", execute=execute, **settings)
    assert training.fleet.steps == 2
    book = Book(steps=2, epochs=3)
    check(training, book.loss, steps=6)
    seen = [set(page[0]) for page in book.pages.values()]
    assert all(len(numbers) == 50 for numbers in seen)
    assert seen[0] != seen[1]  # so some samples of epoch 1 had no row
    past = training.fleet.members[0].method.past
    assert [n for n in range(60) if past[0, n].any()] == sorted(seen[1])


def test_another_alpha():
    check(training_of("pskd:alpha=0.5", epochs=2), Book(steps=3, epochs=2, alpha=0.5).loss, steps=5)


def prepared(z, batch, **options):
    cohort, method = cohort_of(z), get("pskd", **options)
    method.samples, method.epochs = 6, 4
    method.prepare(cohort, batch)
    return cohort, method


@pytest.mark.parametrize("own", [False, True], ids=["index of all", "index of each"])
def test_values_and_gradients(own):
    z = draw(2, 1, 4, 3)
    index = torch.tensor([[5, 0, 3, 1], [2, 5, 4, 0]]) if own else torch.tensor([5, 0, 3, 1])
    y = torch.stack([Y, Y.flip(0)]) if own else Y
    batch = Batch(view(0), y, index=index)
    cohort, method = prepared(z, batch)
    method.start_epoch(2)  # the third of four: a = 0.8 * 3 / 4
    posteriors = draw(2, 6, 3, seed=1).softmax(-1)
    posteriors[:, 0] = 0.0  # sample 0 was not seen
    method.past.copy_(posteriors)
    plain, expected, a = leaves(z), {"task": [], "mimic": []}, 0.8 * 3 / 4
    for i in range(2):
        rows = list(zip(index.expand(2, 4)[i].tolist(), y.expand(2, 4)[i].tolist(), strict=True))
        targets = [posteriors[i, n] if n else one_hot(label, 3) for n, label in rows]
        expected["task"].append((1 - a) * naive.label_loss(plain[i][0], y.expand(2, 4)[i]))
        expected["mimic"].append(a * soft_loss(plain[i][0], targets))
    same(method(cohort, batch), expected, cohort, plain)


def test_in_the_first_epoch_it_is_the_label_loss():
    z, batch = draw(2, 1, 4, 3), Batch(view(0), Y, index=torch.arange(4))
    cohort, method = prepared(z, batch)
    method.start_epoch(0)
    found = sum(method(cohort, batch).values())
    torch.testing.assert_close(found, get("alone")(cohort_of(z), batch)["task"])


def test_the_table_moves_after_the_step_alone_and_is_read_an_epoch_later():
    z, batch = draw(2, 1, 4, 3), Batch(view(0), Y, index=torch.tensor([4, 2, 0, 1]))
    cohort, method = prepared(z, batch)
    method.start_epoch(0)
    method(cohort, batch), method(cohort, batch)  # a look at the loss costs nothing
    assert not method.present.any()
    method.after_step(cohort, batch, 0.0)
    torch.testing.assert_close(method.present[:, [4, 2, 0, 1]], z[:, 0].softmax(-1))
    assert not method.present[:, [3, 5]].any()
    assert not method.past.any()
    method.start_epoch(1)
    torch.testing.assert_close(method.past[:, [4, 2, 0, 1]], z[:, 0].softmax(-1))
    assert not method.present.any()
    assert not method.past.requires_grad


def test_an_unlabelled_or_masked_sample_counts_in_no_term():
    z, y = draw(1, 1, 4, 3), torch.tensor([0, -1, 1, 2])
    batch = Batch(view(0), y, index=torch.arange(4), mask=torch.tensor([1, 1, 0, 1]))
    cohort, method = prepared(z, batch)
    method.start_epoch(1)
    method.past.copy_(draw(1, 6, 3, seed=1).softmax(-1))
    sum(method(cohort, batch).values()).sum().backward()
    assert cohort.network(0).z.grad[0].any(-1).tolist() == [True, False, False, True]


def test_peers_that_take_turns_end_where_they_end_together():
    ends = []
    for update in ("together", "in_turn"):
        training = training_of("pskd", update=update)
        for _ in range(5):
            training.advance()
        method = training.fleet.members[0].method
        ends.append((method.past, method.present, [training.fleet.cohort.peer_state(i) for i in range(3)]))
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-12)


def test_with_batches_of_their_own_peers_remember_those_that_they_learnt_from():
    training = training_of("pskd", update="fresh_batch")
    fleet = training.fleet
    batches = [batches_of(fleet, 0, 0, stream)[0] for stream in range(3)]
    nets = [copy.deepcopy(fleet.cohort.network(i)) for i in range(3)]
    training.advance()
    present = fleet.members[0].method.present
    for i, (net, batch) in enumerate(zip(nets, batches, strict=True)):
        torch.testing.assert_close(present[i, batch.index], net(batch.x).detach().softmax(-1))
        assert int(present[i].any(-1).sum()) == len(batch.index)


def test_peers_may_have_samples_of_their_own():
    training = training_of("pskd", shards=True, labels=90, batch=15)
    assert training.fleet.members[0].method.samples == 30
    for _ in range(3):
        training.advance()
    assert training.fleet.members[0].method.past.any(-1).all()


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("pskd", execute="stack", steps=5)


def test_a_run_that_was_left_ends_where_an_unbroken_one_does(tmp_path):
    run = BASE.replace(method="pskd", epochs=4, checkpoint_every=0, augment=("crop:pad=1",), execute="stack")
    runs = [run, run.replace(seed=1)]
    list(logged(train(runs, tmp_path / "whole"), tmp_path / "whole"))
    for leave in (5, 6, 7):  # in the middle of an epoch, at its end, in the next one
        folder = tmp_path / str(leave)
        records = logged(train(runs, folder), folder)
        for record in records:
            if record.kind == "step" and record.step == leave:
                break
        records.close()
        assert checkpoint.latest(folder).name == f"step-{leave:08d}"
        list(logged(resume(folder), folder))
        one, two = (checkpoint.load(checkpoint.latest(path)) for path in (tmp_path / "whole", folder))
        for a, b in ((one.peers, two.peers), (one.state, two.state)):
            assert a.keys() == b.keys()
            assert all(torch.equal(a[name], b[name]) for name in a)
        assert {"method.0.past", "method.0.present", "method.0.epoch"} <= one.state.keys()
        assert (tmp_path / "whole" / "results.jsonl").read_text() == (folder / "results.jsonl").read_text()


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="alpha=1.5: give a number from 0 to 1"):
        get("pskd:alpha=1.5")
    cohort, batch = cohort_of(draw(1, 1, 4, 3)), Batch(view(0), Y, index=torch.arange(4))
    method = get("pskd")
    with pytest.raises(ValueError, match="samples=0: pskd needs to know it; set method.samples first"):
        method.prepare(cohort, batch)
    method.samples = 3
    with pytest.raises(ValueError, match="epochs=0: pskd needs to know it; set method.epochs first"):
        method.prepare(cohort, batch)
    method.epochs = 2
    with pytest.raises(ValueError, match="samples=3: a sample has the number 3; set it higher"):
        method.prepare(cohort, batch)
    with pytest.raises(ValueError, match="by its number: give Batch\\(index=...\\)"):
        method.prepare(cohort, Batch(view(0), Y))
    with pytest.raises(ValueError, match="task='multilabel': method 'pskd' is for task='classes'"):
        method(cohort, Batch(view(0), Y, index=torch.arange(4), task="multilabel"))
    with pytest.raises(ValueError, match="call method.prepare\\(cohort, batch\\) first"):
        method(cohort, batch)
    with pytest.raises(ValueError, match="learns nothing from unlabelled=10 samples"):
        training_of("pskd", unlabelled=10)
