import pytest
import torch

from codistill.data.augmentations import build_augment
from codistill.data.examples import Examples
from codistill.data.loader import Loader, plain
from codistill.randomness import generator

MEAN, STD = (0.4, 0.5), (0.2, 0.3)


def examples(n=23, dtype=torch.uint8):
    x = torch.randint(256, (n, 2, 6, 6), generator=torch.Generator().manual_seed(1))
    return Examples(x.to(dtype) if dtype == torch.uint8 else x.to(dtype) / 255, torch.arange(n) % 5)


def loader(data=None, specs=("crop:pad=2", "flip"), **changes):
    settings = {"batch": 5, "seed": 7, "augment": build_augment(specs), "mean": MEAN, "std": STD}
    return Loader(data or examples(), **settings | changes)


def naive_normalise(image):
    return torch.stack([(c - m) / s for c, m, s in zip(image.float() / 255, MEAN, STD, strict=True)])


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_an_epoch_holds_every_example_once_and_epochs_and_streams_differ():
    load = loader()
    orders = [
        torch.cat([load.batch(epoch, step, stream)[2] for step in range(load.steps)]).tolist()
        for epoch, stream in ((0, 0), (1, 0), (0, 1))
    ]
    assert all(sorted(order) == list(range(23)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_a_batch_is_a_function_of_seed_epoch_step_and_stream():
    places = [(epoch, step, stream) for epoch in (0, 3) for step in range(5) for stream in (0, 1)]
    load = loader()
    forwards = {place: load.batch(*place) for place in places}
    for place in reversed(places):
        assert same(loader().batch(*place), forwards[place])
        assert same(load.batch(*place), forwards[place])
    assert not same(loader(seed=8).batch(0, 0), forwards[0, 0, 0])


def test_a_batch_equals_one_made_by_hand():
    data = examples()
    x, y, index = loader(data).batch(2, 1, stream=3)
    order = torch.randperm(23, generator=generator(7, "order", 2, 3))
    assert torch.equal(index, order[5:10])
    assert torch.equal(y, data.y[order[5:10]])
    augment = build_augment(["crop:pad=2", "flip"])
    raw = augment(data.x[order[5:10]], generator(7, "augment", 2, 1, 3))
    torch.testing.assert_close(x, torch.stack([naive_normalise(image) for image in raw]))


def test_bytes_and_floats_give_the_same_batch():
    (x, *_), (z, *_) = (loader(examples(dtype=dtype)).batch(0, 0) for dtype in (torch.uint8, torch.float64))
    assert x.dtype == z.dtype == torch.float32
    torch.testing.assert_close(x, z)


def test_examples_are_left_as_they_were():
    for dtype in (torch.uint8, torch.float32):
        data = examples(dtype=dtype)
        before = data.x.clone()
        loader(data, specs=()).batch(0, 0)
        list(plain(data, MEAN, STD, 5))
        assert torch.equal(data.x, before)


@pytest.mark.parametrize(("n", "drop_last", "steps", "last"), [(23, False, 5, 3), (23, True, 4, 5), (25, False, 5, 5)])
def test_steps_count_the_batches(n, drop_last, steps, last):
    load = loader(examples(n), drop_last=drop_last)
    assert load.steps == steps
    assert len(load.batch(0, steps - 1)[2]) == last
    with pytest.raises(IndexError, match=f"step={steps}: an epoch has {steps}"):
        load.batch(0, steps)


def test_a_last_batch_of_one_is_refused_unless_it_is_dropped():
    with pytest.raises(ValueError, match="batch=11: the last of 23.*drop_last=True"):
        loader(batch=11)
    assert loader(batch=11, drop_last=True).steps == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch": 0}, "batch=0"),
        ({"batch": 24, "drop_last": True}, "batch=24: 23 examples make no batch"),
        ({"mean": (0.5,)}, r"mean=\(0.5,\): give 2 values"),
        ({"std": (0.5, 0.0)}, r"std=\(0.5, 0.0\)"),
    ],
)
def test_a_setting_out_of_range_is_named(changes, said):
    with pytest.raises(ValueError, match=said):
        loader(**changes)


def test_the_order_is_drawn_once_an_epoch_for_each_stream(monkeypatch):
    drawn = []
    permute = torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda *a, **k: drawn.append(a) or permute(*a, **k))
    load = loader()
    for epoch in range(2):
        for step in range(load.steps):
            for stream in range(3):
                load.batch(epoch, step, stream)
    assert len(drawn) == 2 * 3


def test_evaluation_sees_all_in_order_and_unaugmented():
    data = examples(11)
    batches = list(plain(data, MEAN, STD, 5))
    assert [len(y) for _, y in batches] == [5, 5, 1]
    assert torch.equal(torch.cat([y for _, y in batches]), data.y)
    torch.testing.assert_close(
        torch.cat([x for x, _ in batches]), torch.stack([naive_normalise(image) for image in data.x])
    )


def test_nothing_to_evaluate_is_no_batch():
    assert list(plain(examples(0), MEAN, STD, 5)) == []


def test_token_ids_are_not_normalised():
    words = Examples(torch.arange(12).view(6, 2), torch.zeros(6).long())
    x, _, index = loader(words, specs=(), mean=(), std=(), batch=3).batch(0, 0)
    assert torch.equal(x, words.x[index])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_batch_on_cuda_never_waits_and_equals_that_on_the_cpu():
    load = loader(examples().to("cuda"))
    torch.cuda.set_sync_debug_mode("error")
    try:
        made = load.batch(1, 2)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for ours, theirs in zip(made, loader().batch(1, 2), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs)
