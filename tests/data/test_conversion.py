import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from codistill.data import from_dataset

Image = pytest.importorskip("PIL.Image")


class Mine(Dataset):
    """Without an end that iteration would find."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, number):
        return self.pairs[number % len(self.pairs)]


def grey(count=6):
    return [(torch.full((1, 4, 5), i, dtype=torch.uint8), i % 3) for i in range(count)]


@pytest.mark.parametrize("kind", [list, Mine, iter, lambda p: DataLoader(Mine(p), batch_size=4)])
def test_examples_come_from_anything_that_gives_pairs(kind):
    data = from_dataset(kind(grey()), kind(grey(4)))
    assert torch.equal(data.train.x, torch.stack([x for x, _ in grey()]))
    assert data.train.y.tolist() == [0, 1, 2, 0, 1, 2]
    assert (len(data.test), data.classes, data.task, data.names) == (4, 3, "classes", ())
    level = torch.arange(6) / 255
    assert data.mean == pytest.approx([level.mean().item()])
    assert data.std == pytest.approx([level.std(correction=0).item()])


def test_a_tensor_data_set_of_floating_images():
    x, y = torch.randn(7, 3, 4, 4, dtype=torch.float64), torch.arange(7) % 2
    data = from_dataset(TensorDataset(x, y), TensorDataset(x, y), names=("a", "b"))
    assert torch.equal(data.train.x, x.float())
    assert data.mean == pytest.approx(x.mean((0, 2, 3)).tolist(), abs=1e-6)
    assert data.std == pytest.approx(x.std((0, 2, 3), correction=0).tolist(), abs=1e-5)


@pytest.mark.parametrize("colour", [True, False])
def test_pil_arrays_and_tensors_are_one(colour):
    array = torch.randint(256, (5, 4, 3) if colour else (5, 4), dtype=torch.uint8).numpy()
    forms = [
        Image.fromarray(array),
        array,
        torch.from_numpy(array).permute(2, 0, 1) if colour else torch.from_numpy(array),
    ]
    sets = [from_dataset([(x, 0), (x, np.int64(1))], [(x, torch.tensor(1))]) for x in forms]
    assert all(torch.equal(data.train.x, sets[0].train.x) for data in sets)
    assert sets[0].train.x.shape == (2, 3 if colour else 1, 5, 4)
    assert sets[0].test.y.tolist() == [1]


@pytest.mark.parametrize("form", [list, torch.tensor, np.array, tuple])
def test_token_ids_are_padded_and_cut(form):
    rows = [(form([5, 6, 7]), 0), (form([8]), 1)]
    data = from_dataset(rows, [(form([2, 3, 4, 5]), 1)])
    assert data.train.x.tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]]
    assert data.test.x.tolist() == [[2, 3, 4, 5]]
    assert data.known["vocabulary"] == 9
    assert from_dataset(rows, rows, length=2, vocabulary=30).train.x.tolist() == [[5, 6], [8, 0]]


def test_texts_are_made_into_tokens(tmp_path, monkeypatch):
    pytest.importorskip("tokenizers", reason="text needs the tokenizers library")
    monkeypatch.setenv("CODISTILL_CACHE", str(tmp_path))
    rows = [("good film", 1), ("bad film", 0)] * 3
    data = from_dataset(rows, rows[:1], task="binary", length=4, tokenizer="words", names=("bad", "good"))
    assert (data.classes, data.task) == (1, "binary")
    assert data.train.x.shape == (6, 4)
    assert data.text.vocabulary == 5


def test_labels_of_other_tasks():
    x = torch.zeros(3, 4, 4)
    data = from_dataset([(x, [1, 0, 0]), (x, torch.tensor([1.0, 0, 1]))], [(x, (0, 0, 1))], task="multilabel")
    assert (data.classes, data.train.y.tolist()) == (3, [[1, 0, 0], [1, 0, 1]])
    tags = [([4, 5, 6], [0, 1, 2]), ([4], [1])]
    assert from_dataset(tags, tags, task="tokens").train.y.tolist() == [[0, 1, 2], [1, -1, -1]]
    assert from_dataset(tags, tags, task="tokens", length=2).train.y.tolist() == [[0, 1], [1, -1]]
    data = from_dataset([(x, 1.0), (x, -1), (x, True)], [(x, 0)], task="binary")
    assert (data.classes, data.train.y.tolist()) == (1, [1, -1, 1])


PICTURE = torch.zeros(3, 4, 4)
GOOD = [(PICTURE, 0), (PICTURE, 1)]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (PICTURE, r"train, example 2 is a Tensor: give a pair"),
        ((PICTURE, 1, 2), "train, example 2 is 3 things: give a pair"),
        ((torch.zeros(3, 5, 4), 0), r"train, example 2 is torch.float32 of shape \[3, 5, 4\], the first .*\[3, 4, 4\]"),
        ((torch.zeros(3, 4, 4, dtype=torch.uint8), 0), "example 2 is torch.uint8"),
        ((torch.full((3, 4, 4), torch.nan), 0), "example 2 holds an invalid value"),
        ((torch.zeros(3, 4, 4, dtype=torch.int32), 0), "example 2 is torch.int32: make it uint8 or floating"),
        ((np.zeros((3, 4, 4)), 0), None),
        ((np.zeros((3, 9, 9)), 0), r"example 2 is an array of shape \[3, 9, 9\]: give \[height, width, channels\]"),
        (("text", 0), "example 2 is of texts, the first of images"),
        (([1, 2], 0), "example 2 is of token ids, the first of images"),
        ((torch.zeros(4), 0), r"example 2 is of shape \[4\]: give an image, a text or token ids"),
        ((object(), 0), "example 2 is a object: give an image"),
        ((PICTURE, 2), "train.y holds 2: labels go from 0 to 1.*example 2"),
        ((PICTURE, -2), "train.y holds -2.*example 2"),
        ((PICTURE, 0.5), "example 2 has label 0.5: give a whole number"),
        ((PICTURE, "cat"), "example 2 has label 'cat': give a whole number"),
        ((PICTURE, None), "example 2 has label None: give a whole number"),
        ((PICTURE, [0, 1]), "example 2 has 2 labels; task 'classes' needs one number"),
    ],
)
def test_an_example_that_cannot_be_used_is_named(bad, said):
    if said is None:
        said = r"example 2 is torch.float32 of shape \[4, 3, 4\], the first"
    with pytest.raises(ValueError, match=said):
        from_dataset([*GOOD, bad], GOOD, classes=2)


@pytest.mark.parametrize(
    ("train", "test", "options", "said"),
    [
        ([], GOOD, {}, "train is empty: give it examples"),
        (GOOD, [("a", 0)], {}, "train holds images and test texts: give one kind"),
        (GOOD, [(PICTURE, 2)], {}, "test.y holds 2: labels go from 0 to 1.*example 0"),
        (GOOD, [(torch.zeros(3, 2, 2), 0)], {}, "train.x has examples of shape"),
        (GOOD, GOOD, {"task": "class"}, "no task is called 'class': did you mean 'classes'"),
        (GOOD, GOOD, {"length": 0}, "length=0: give a whole number of at least 1"),
        (GOOD, GOOD, {"names": ("a",), "classes": 2}, "names has 1 entries: give 2"),
        ([([1, 2], 0), ([0, 0], 1)], GOOD, {}, "train holds token ids and test images"),
        ([([1, 2], 0), ([0, 0], 1)], [([1], 0)], {}, "train, example 1 has no token"),
        ([([1, 2], 0), ([], 1)], [([1], 0)], {}, "train, example 1 has no token"),
        ([([1, 2], 0)], [([7], 0)], {}, "test, example 0 has id 7: ids go from 0 to 2; set vocabulary"),
        ([([1, -2], 0)], [([1], 0)], {}, "train, example 0 has id -2"),
        ([(PICTURE, [0, 1]), (PICTURE, [1])], [(PICTURE, [0, 1])], {"task": "multilabel"}, "example 1 has 1 labels"),
        (
            [(PICTURE, [0, 2])],
            [(PICTURE, [0, 1])],
            {"task": "multilabel"},
            "train.y holds 2: labels go from 0 to 1",
        ),
        ([(PICTURE, [0, 1])], [(PICTURE, [0, 1, 1])], {"task": "multilabel"}, "test.y has shape \\[1, 3\\]"),
    ],
)
def test_what_does_not_fit_is_said(train, test, options, said):
    with pytest.raises(ValueError, match=said):
        from_dataset(train, test, **options)


def test_pil_images_of_two_sizes_are_named():
    rows = [(Image.new("RGB", (4, 5)), 0), (Image.new("RGB", (5, 5)), 1)]
    with pytest.raises(ValueError, match=r"train, example 1 is 5x5 pixels, the first 5x4: resize them to one size"):
        from_dataset(rows, rows)
    deep = [(Image.new("I;16", (4, 4)), 0)]
    with pytest.raises(ValueError, match="example 0 has more than 8 bits to a pixel"):
        from_dataset(deep, deep)


def test_an_id_of_padding_before_others_is_an_error_and_not_a_text_cut_short():
    with pytest.raises(ValueError, match="train, example 1 has id 0 before other ids, and 0 is padding, at the end"):
        from_dataset([([3, 4, 0], 0), ([3, 0, 4], 1)], [([3], 0)])
    assert from_dataset([([3, 4, 0], 0), ([3, 0, 4], 1)], [([3], 0)], length=1).train.x.tolist() == [[3], [3]]
