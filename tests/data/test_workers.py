import gc
import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
import tracemalloc

import pytest
import torch

from codistill.data.augmentations import build_augment
from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.images import workers
from codistill.data.images.cut import Cut, Unreadable
from codistill.data.images.lazy import FileNames, LazyImages
from codistill.data.images.workers import Ahead, count, in_order
from codistill.data.loader import Loader, plain
from codistill.data.split import split
from codistill.run import Run
from codistill.training.streams import Streams, pieces_of
from small_images import save

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for i in range(23):
        save(root / f"c{i % 3}" / f"{i:02}.png", seed=i, size=(20 + i, 24))
    return root


@pytest.fixture(autouse=True)
def _no_process_is_left():
    yield
    gc.collect()
    assert not multiprocessing.active_children()


def examples(root, count=0, area=0.1):
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    x = LazyImages(FileNames.of(root, names), Cut(12, 12, area=area), name="set", workers=count)
    return Examples(x, torch.tensor([int(name[1]) for name in names]))


def loader(data, **changes):
    settings = {"batch": 5, "seed": 7, "augment": build_augment(["flip"]), "mean": MEAN, "std": STD}
    return Loader(data, **settings | changes)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def calls(load):
    """Everything that two epochs of a method with two streams, two views and partners would ask for."""
    for epoch, step in itertools.product(range(2), range(load.steps)):
        for stream, view in itertools.product(range(2), range(2)):
            yield load.batch(epoch, step, stream, view)
        yield (load.partners(epoch, step),)


# What comes out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3])
def test_batches_are_the_same_for_any_number_of_workers(root, number):
    pairs = zip(calls(loader(examples(root))), calls(loader(examples(root, number))), strict=True)
    assert all(same(*pair) for pair in pairs)


def test_a_batch_equals_one_made_by_hand(root):
    data = examples(root)
    x, y, index = loader(data, augment=build_augment([])).batch(1, 2, stream=1, view=3)
    from codistill.randomness import generator

    order = torch.randperm(23, generator=generator(7, "order", 1, 1))[10:15]
    draws = torch.rand(5, 22, generator=generator(7, "augment", "cut", 1, 2, 1, 3))
    raw = torch.stack([data.x.cut.read(data.x.files.path(i), d) for i, d in zip(order.tolist(), draws, strict=True)])
    naive = torch.stack([(c - m) / s for c, m, s in zip((raw.float() / 255).unbind(1), MEAN, STD, strict=True)], 1)
    torch.testing.assert_close(x, naive)
    assert torch.equal(index, order)
    assert torch.equal(y, data.y[order])


def test_views_streams_steps_and_epochs_are_cut_anew(root):
    load = loader(examples(root), augment=build_augment([]), batch=23)
    places = [(0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0), (1, 0, 0, 0)]
    sorted_by_index = [x[index.argsort()] for x, _, index in (load.batch(*place) for place in places)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(sorted_by_index, 2))


def test_partners_are_of_the_same_class(root):
    data = examples(root, area=None)
    load = loader(data, augment=build_augment([]))
    every = {x.numpy().tobytes(): int(y) for x, y in zip(data.x[0:23], data.y, strict=True)}
    raw = load.partners(0, 1) * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    found = [every[x.mul(255).round().to(torch.uint8).numpy().tobytes()] for x in raw]
    assert found == load.batch(0, 1)[1].tolist()


@pytest.mark.parametrize("number", [0, 2])
def test_any_order_of_calls_gives_the_same_batches(root, number):
    load, reference = loader(examples(root, number)), loader(examples(root))
    wild = [(0, 0), (0, 1), (0, 2), (0, 4), (0, 3), (0, 4), (1, 0), (1, 1), (3, 0), (3, 1), (3, 2), (0, 0)]
    for step, (epoch, place) in enumerate(wild):
        view = step % 3 == 0  # and a pattern that changes
        assert same(load.batch(epoch, place, 0, view), reference.batch(epoch, place, 0, view))
        assert same(load.batch(epoch, place, 1), reference.batch(epoch, place, 1))


@pytest.mark.parametrize("number", [0, 2])
def test_evaluation_sees_all_in_order_as_the_centre(root, number):
    data = examples(root, number)
    found = list(plain(data, MEAN, STD, 5))
    assert [len(y) for _, y in found] == [5, 5, 5, 5, 3]
    whole = Examples(examples(root).x[0:23], data.y)
    assert all(same(a, b) for a, b in zip(found, plain(whole, MEAN, STD, 5), strict=True))
    assert list(plain(data.take(torch.arange(0)), MEAN, STD, 5)) == []


def test_the_trainings_own_random_numbers_are_left_alone(root):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    for _ in calls(loader(examples(root, 2))):
        pass
    list(in_order(examples(root, 2).x, 5))
    assert torch.equal(torch.rand(2), expected)


# Reading ahead --------------------------------------------------------------------------------------------------------


def noted(root, number, monkeypatch):
    """An `Ahead`, and the places that were read in this process."""
    here, pictures = [], examples(root, number).x
    read = LazyImages.read
    monkeypatch.setattr(LazyImages, "read", lambda self, *ask: here.append(os.getpid()) or read(self, *ask))
    return Ahead(pictures, lambda place: (torch.tensor([place[0], place[1]]), None), 4), here


def test_from_the_second_step_on_workers_read(root, monkeypatch):
    ahead, here = noted(root, 2, monkeypatch)
    for epoch, step in itertools.product(range(3), range(4)):
        ahead.read((epoch, step, ("x", 0, 0)))
        ahead.read((epoch, step, ("x", 0, 1)))
        ahead.read((epoch, step, ("x", 0, 0)))  # again: remembered
        assert len(here) == 2
        assert bool(multiprocessing.active_children()) == (step > 0 or epoch > 0)
    ahead.close()
    gc.collect()
    assert not multiprocessing.active_children()
    ahead.read((0, 0, ("x", 0, 0)))
    assert len(here) == 3


def test_in_this_process_where_no_workers_are_wanted(root, monkeypatch):
    ahead, here = noted(root, 0, monkeypatch)
    for step in range(4):
        ahead.read((0, step, ("x", 0, 0)))
    assert here == [os.getpid()] * 4


def test_another_order_drops_the_workers_and_the_next_step_starts_them_again(root, monkeypatch):
    ahead, here = noted(root, 1, monkeypatch)
    first = []
    for place in [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1)]:  # a jump after (0, 1)
        ahead.read((*place, ("x", 0, 0)))
        first.append((len(here), len(multiprocessing.active_children())))
    assert first == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 1)]
    ahead.close()


def test_reading_runs_no_further_ahead_than_two_batches_for_each_worker(root, monkeypatch):
    asked = []
    pictures = examples(root, 2).x
    ahead = Ahead(pictures, lambda place: asked.append(place) or (torch.arange(2), None), 1000)
    for step in range(10):
        ahead.read((0, step, ("x", 0, 0)))
    assert 10 <= len(asked) <= 10 + 2 * 2 + 1
    ahead.close()


def test_memory_does_not_grow_with_the_number_of_images(root):
    one = examples(root).x
    peaks = []
    for times in (1, 20):
        x = one.take(torch.arange(23).repeat(times))
        tracemalloc.start()
        seen = sum(len(batch) for batch in in_order(x, 5))
        load = loader(Examples(x, torch.zeros(len(x), dtype=torch.long)), drop_last=True)
        for step in range(load.steps):
            load.batch(0, step)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert seen == 23 * times
    assert peaks[1] < peaks[0] + 100_000


def test_no_more_images_are_alive_than_a_step_has_asked_for(root, monkeypatch):
    alive, read = [], Cut.read
    load = loader(examples(root))
    monkeypatch.setattr(Cut, "read", lambda self, path, draw=None: alive.append(path) or read(self, path, draw))
    for step in range(load.steps):
        load.batch(0, step)
        load.batch(0, step, view=1)
        assert sum(len(x) for x in load._ahead._step.values()) <= 10
    assert len(alive) == 2 * 23


def test_after_an_error_the_next_batch_is_read_all_the_same(root, monkeypatch):
    ahead, here = noted(root, 1, monkeypatch)
    for step in range(2):
        ahead.read((0, step, ("x", 0, 0)))
    ahead._feed.close()  # as an error leaves it
    with pytest.raises(StopIteration):
        ahead.read((0, 2, ("x", 0, 0)))
    assert len(ahead.read((0, 2, ("x", 0, 0)))) == 2
    assert len(here) == 2


# Bad pictures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt(tmp_path):
    for i in range(12):
        save(tmp_path / f"c{i % 2}" / f"{i:02}.png", level=10 * i)
    (tmp_path / "c1" / "05.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("number", [0, 2])
def test_a_bad_image_is_one_clear_error_from_a_worker_too(spoilt, number):
    load = loader(examples(spoilt, number), batch=3)
    with pytest.raises(Unreadable) as error:
        list(map(load.batch, [0] * load.steps, range(load.steps)))
    assert str(error.value).startswith(str(spoilt / "c1" / "05.png"))
    assert "\n" not in str(error.value)
    with pytest.raises(Unreadable, match=r"05\.png cannot be read"):
        list(in_order(examples(spoilt, number).x, 3))


def test_a_worker_that_dies_is_explained(root):
    batches = in_order(examples(root, 1).x, 1)
    next(batches)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    with pytest.raises(ChildProcessError, match="set: a process that reads images has ended.*lower workers=1 or batch"):
        list(batches)


# Processes ------------------------------------------------------------------------------------------------------------


def test_leaving_an_evaluation_half_way_ends_its_workers(root):
    batches = plain(examples(root, 2), MEAN, STD, 2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    gc.collect()
    assert not multiprocessing.active_children()


def test_the_workers_of_a_training_end_with_its_loader_and_wait_for_no_collection(root):
    gc.disable()
    try:
        load = loader(examples(root, 2))
        for step in range(3):
            load.batch(0, step)
        assert len(multiprocessing.active_children()) == 2
        del load
        assert not multiprocessing.active_children()
    finally:
        gc.enable()


SCRIPT = """
import multiprocessing, signal, sys, time, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
from pathlib import Path
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import FileNames, LazyImages
from codistill.data.images.workers import in_order
root = Path(sys.argv[1])
names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
batches = in_order(LazyImages(FileNames.of(root, names), Cut(8, 8), name="set", workers=2), 1)
next(batches)
try:
    print(*[p.pid for p in multiprocessing.active_children()], flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print(len(list(batches)), flush=True)
"""


@pytest.fixture
def started(root):
    """A process that is in the middle of an evaluation, and the numbers of its two workers."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(root)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process, [int(pid) for pid in process.stdout.readline().split()]
    finally:
        process.kill()
        process.wait(timeout=20)
        process.stdout.close()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_the_end_of(pids, seconds):
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, pids))


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks processes up in /proc")
def test_ctrl_c_reaches_the_main_process_alone_and_the_workers_go_on_until_it_has_finished(started):
    process, pids = started
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    assert process.stdout.read().strip() == "22"
    assert process.wait(timeout=20) == 0
    wait_for_the_end_of(pids, 5)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks processes up in /proc")
def test_the_workers_of_a_process_that_was_killed_end_by_themselves(started):
    process, pids = started
    assert len(pids) == 2
    process.kill()
    process.wait(timeout=20)
    wait_for_the_end_of(pids, 15)


# Their number ---------------------------------------------------------------------------------------------------------


def test_the_number_is_as_asked_else_of_the_environment_else_of_the_cores(monkeypatch):
    monkeypatch.setenv(workers.WORKERS, "5")
    assert count(3, "set") == 3
    assert count(0, "set") == 0
    assert count(None, "set") == 5
    monkeypatch.setenv(workers.WORKERS, "")
    assert 1 <= count(None, "set") <= workers.MOST


@pytest.mark.parametrize("asked", [-1, 1.5, True, "two"])
def test_an_invalid_number_is_named(asked):
    with pytest.raises(ValueError, match=f"set: workers={asked!r}: give a whole number"):
        count(asked, "set")


@pytest.mark.parametrize("text", ["-1", "many"])
def test_an_invalid_number_in_the_environment_is_named(monkeypatch, text):
    monkeypatch.setenv(workers.WORKERS, text)
    with pytest.raises(ValueError, match=f"CODISTILL_WORKERS='{text}': give a whole number"):
        count(None, "set")


def test_images_go_to_another_process_whole(root):
    one = examples(root, 2).x
    other = pickle.loads(pickle.dumps(one.take(torch.arange(3))))
    assert torch.equal(one[0:3], other[0:3])


def test_the_seeds_of_a_fleet_and_their_unlabelled_batches_share_the_workers(root):
    data = DataSet(examples(root, 8), examples(root, 8), 3, "classes", MEAN, STD, ())
    run = Run(labels=12, unlabelled=2, batch=4)
    for streams, each in (
        (Streams(run, [0, 1], data, torch.device("cpu"), 1), 2),
        (Streams(run.replace(unlabelled=0), [0, 1], data, torch.device("cpu"), 1), 4),
        (Streams(run.replace(unlabelled=0, shards="equal", peers=3), [0], data, torch.device("cpu"), 3), 2),
    ):
        assert {loader.examples.x.workers for loader in (*streams.loaders, *streams.extra)} == {each}


# The rest of the library ----------------------------------------------------------------------------------------------


def test_splits_shards_and_unlabelled_parts_hold_the_same_images_as_in_memory(root):
    lazy = examples(root)
    whole = Examples(lazy.x[0:23], lazy.y)
    sets = [DataSet(e, e, 3, "classes", MEAN, STD, ()) for e in (lazy, whole)]
    ours, theirs = (split(data, 4, labels=9, valid=0.2) for data in sets)
    for part in ("train", "valid", "unlabelled", "test"):
        one, other = getattr(ours, part), getattr(theirs, part)
        assert len(one)
        assert torch.equal(one.x[0 : len(one)], other.x)
        assert torch.equal(one.y, other.y)
    assert (ours.unlabelled.y == -1).all()
    run = Run(shards="equal", peers=3, batch=3)
    for one, other in zip(*(pieces_of(run, data, data.train, 4) for data in sets), strict=True):
        assert torch.equal(one.x[0 : len(one)], other.x)


def test_statistics_are_those_of_the_same_images_in_memory(root):
    lazy = examples(root).x
    assert channel_statistics(lazy) == channel_statistics(lazy[0:23])
