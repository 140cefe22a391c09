"""Wrong labels, against plain loops and published rules."""

import pytest
import torch

from codistill.data.examples import DataSet, Examples
from codistill.data.noise import check_classes, noisy_labels


def dataset(y, classes=10, task="classes"):
    x = torch.zeros(len(y), 1, 2, 2, dtype=torch.uint8)
    return DataSet(Examples(x, y), Examples(x[:2], y[:2].clamp(min=0)), classes, task, (0.0,), (1.0,), ())


def many(classes=10, n=20_000):
    return torch.arange(n) % classes


def test_no_noise_leaves_labels_as_they_are():
    data = dataset(many(n=50))
    assert noisy_labels("none", data, 0) is data.train.y


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.45, 1.0])
def test_symmetric_noise_draws_uniformly_from_the_other_classes(rate):
    y = many()
    noisy = noisy_labels(f"symmetric:{rate}", dataset(y), 3)
    counts = torch.zeros(10, 10)
    for before, after in zip(y.tolist(), noisy.tolist(), strict=True):
        counts[before, after] += 1
    expected = torch.full((10, 10), rate / 9).fill_diagonal_(1 - rate)
    assert (counts / 2000 - expected).abs().max() < 0.05
    if rate:
        wrong = counts[~torch.eye(10, dtype=torch.bool)]
        assert (wrong / 2000 - rate / 9).abs().max() < 4 * (rate / 9 / 2000) ** 0.5


@pytest.mark.parametrize("rate", [0.2, 0.45, 1.0])
def test_pair_noise_goes_to_the_next_class(rate):
    y = many()
    noisy = noisy_labels(f"pair:rate={rate}", dataset(y), 3)
    steps = (noisy - y) % 10
    assert set(steps.tolist()) <= {0, 1}
    for c in range(10):
        assert abs(float((steps[y == c] == 1).float().mean()) - rate) < 0.05


@pytest.mark.parametrize("kind", ["symmetric", "pair"])
def test_binary_labels_flip(kind):
    y = many(2, 1000)
    noisy = noisy_labels(f"{kind}:0.3", dataset(y, 1, "binary"), 0)
    assert 0.2 < float((noisy != y).float().mean()) < 0.4
    assert torch.equal(noisy_labels(f"{kind}:1.0", dataset(y, 1, "binary"), 0), 1 - y)


def test_noise_is_a_function_of_the_seed_and_more_noise_keeps_what_less_made_wrong():
    y, data = many(n=400), dataset(many(n=400))
    one, again, other = (noisy_labels("symmetric:0.4", data, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    less = noisy_labels("symmetric:0.2", data, 1)
    assert torch.equal(less[less != y], one[less != y])


def test_examples_without_a_label_stay_without():
    y = torch.tensor([-1, 0, 1, -1, 2] * 20)
    for spec in ("symmetric:1.0", "pair:1.0"):
        assert ((noisy_labels(spec, dataset(y, 3), 0) == -1) == (y == -1)).all()


def test_a_file_has_a_label_for_every_example_or_for_some(tmp_path):
    y = torch.tensor([0, 1, 2, -1])
    every, some = tmp_path / "every.txt", tmp_path / "some.csv"
    every.write_text("2\n1\n0\n0\n")
    some.write_text("index,label\n2,1\n\n0,2\n3,1\n")
    assert noisy_labels(f"file:{every}", dataset(y, 3), 0).tolist() == [2, 1, 0, -1]
    assert noisy_labels(f"file:path={some}", dataset(y, 3), 5).tolist() == [2, 1, 1, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n1\n", r"has 2 labels, and there are 4 training examples: give one to each \(and set no limit\)"),
        ("0\n1\n3\n0\n", "line 3: example 2, label 3: there are 4 examples and 3 classes, counted from 0"),
        ("0\none\n2\n0\n", "line 2: 'one': write one class number"),
        ("0,1\n", r"line 1: '0,1': write one class number \(or begin with the line index,label\)"),
        ("index,label\n0,1\n4,1\n", "line 3: example 4, label 1"),
        ("index,label\n0,1\n\n2\n", "line 4: '2': write index,label"),
        ("index,label\n1,0\n1,2\n", "names example 1 twice"),
    ],
)
def test_what_a_file_cannot_be_is_said(tmp_path, text, message):
    path = tmp_path / "labels"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        noisy_labels(f"file:{path}", dataset(torch.tensor([0, 1, 2, 1]), 3), 0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("symmetric:1.5", "noise: rate=1.5: give a number from 0 to 1"),
        ("pair:-0.1", "noise: rate=-0.1: give a number from 0 to 1"),
        ("symmetric", "noise 'symmetric' needs rate: write rate=..., or symmetric:RATE"),
        ("symetric:0.1", "no noise is called 'symetric': did you mean 'symmetric'"),
    ],
)
def test_what_noise_cannot_be_is_said(spec, message):
    with pytest.raises(ValueError, match=message):
        noisy_labels(spec, dataset(many(n=20)), 0)


def test_a_file_that_is_not_there_and_a_task_without_classes_are_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="give a file of labels"):
        noisy_labels(f"file:{tmp_path / 'none'}", dataset(many(n=20)), 0)
    several = dataset(torch.ones(4, 3, dtype=torch.int64), 3, "multilabel")
    with pytest.raises(ValueError, match="noise='pair:0.1' goes by class, and the task is 'multilabel'"):
        noisy_labels("pair:0.1", several, 0)


def test_a_class_that_noise_leaves_without_a_label_is_said():
    clean, noisy = torch.tensor([0, 1, 2, 2]), torch.tensor([1, 2, 2, 2])
    check_classes("pair:0.5", clean, clean, ())
    with pytest.raises(ValueError, match="noise='pair:0.5' leaves none of 4 labels to class 'cat': lower it"):
        check_classes("pair:0.5", clean, noisy, ("cat", "dog", "eel"))
