import pytest
import torch

from codistill.data.examples import DataSet, Examples, Retrieval, channel_statistics, check_range


def images(n, y=None, channels=1):
    x = torch.randint(256, (n, channels, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(n))
    return Examples(x, torch.arange(n) % 3 if y is None else y)


def dataset(**changes):
    values = {
        "train": images(9),
        "test": images(6),
        "classes": 3,
        "task": "classes",
        "mean": (0.5,),
        "std": (0.25,),
        "names": ("a", "b", "c"),
    }
    return DataSet(**values | changes)


def test_taken_examples_keep_their_labels():
    examples = images(9)
    some = examples.take(torch.tensor([7, 2]))
    assert len(some) == 2
    assert torch.equal(some.x[0], examples.x[7])
    assert some.y.tolist() == [7 % 3, 2]


def test_examples_move_as_a_pair():
    moved = images(3).to("meta")
    assert moved.x.is_meta
    assert moved.y.is_meta


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (torch.zeros(3, 4, 4), torch.zeros(3).long(), r"\[3, 4, 4\].*\[N, C, H, W\]"),
        (torch.zeros(3, 4, dtype=torch.int32), torch.zeros(3).long(), "int32.*uint8"),
        (torch.zeros(3, 1, 4, 4).long(), torch.zeros(3).long(), r"\[N, T\]"),
        (torch.zeros(3, 1, 4, 4), torch.zeros(3), r"float32.*y\.long\(\)"),
        (torch.zeros(3, 1, 4, 4), torch.zeros(4).long(), "3 examples and y has 4"),
    ],
)
def test_examples_of_another_form_are_refused(x, y, said):
    with pytest.raises(ValueError, match=said):
        Examples(x, y)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "class"}, "task='class'.*classes, binary"),
        ({"classes": 1}, "classes=1.*2 or more"),
        (
            {"task": "binary", "classes": 2, "names": ()},
            "classes=2: task 'binary' needs 1; two outputs are task 'classes'",
        ),
        ({"classes": 2, "names": ()}, r"train\.y holds 2: labels go from 0 to 1"),
        ({"train": images(3, torch.tensor([0, 1, -2]))}, r"train\.y holds -2.*-1 is unlabelled.*example 2, counted"),
        ({"test": images(6, torch.tensor([0, 1, 2, 0, -1, 1]))}, r"test\.y has no label for 1 of 6: test on labelled"),
        ({"test": images(6, torch.zeros(6, 2).long())}, r"test\.y has shape \[6, 2\].*\[N\]"),
        ({"names": ("a",)}, "names has 1 entries: give 3"),
        ({"mean": (0.5, 0.5)}, r"mean=\(0.5, 0.5\): give 1"),
        ({"std": (0.0,)}, r"std=\(0.0,\).*above 0"),
        ({"test": images(6, channels=2)}, r"shape \[1, 4, 4\], test.x of \[2, 4, 4\]"),
        ({"task": "multilabel"}, r"train\.y has shape \[9\].*\[N, C\]"),
    ],
)
def test_a_data_set_that_contradicts_itself_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        dataset(**changes)


def test_of_several_labels_the_example_with_the_first_wrong_one_is_named():
    y = torch.tensor([[0, 1, -1], [1, 1, 0], [0, 0, 2], [3, 0, 0]])
    with pytest.raises(ValueError, match=r"here holds 2: labels go from 0 to 1.*example 2, counted from 0"):
        check_range("here", y, 2)


def test_unlabelled_examples_are_allowed():
    assert dataset(train=images(3, torch.tensor([0, -1, 2]))).train.y[1] == -1


def test_every_task_has_its_form_of_labels():
    one, other = images(4, torch.tensor([0, 1, 1, -1])), images(3, torch.tensor([0, 1, 1]))
    assert dataset(task="binary", classes=1, names=("no", "yes"), train=one, test=other).classes == 1
    many = images(4, torch.tensor([[0, 1, 1]] * 4))
    assert dataset(task="multilabel", train=many, test=many).classes == 3
    words = Examples(torch.arange(12).view(4, 3), torch.arange(12).view(4, 3))
    plain = {"train": words, "test": words, "names": (), "mean": (), "std": ()}
    assert dataset(task="tokens", classes=12, **plain).task == "tokens"


def test_channel_statistics_equal_those_of_the_floats():
    x = images(20, channels=3).x
    mean, std = channel_statistics(x)
    floats = x.double().div(255).transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.tensor(mean, dtype=torch.double), floats.mean(1))
    torch.testing.assert_close(torch.tensor(std, dtype=torch.double), floats.std(1, correction=0))


def test_a_channel_that_never_changes_is_divided_by_one():
    assert channel_statistics(torch.full((2, 1, 3, 3), 51, dtype=torch.uint8)) == ((51 / 255,), (1.0,))


def findable(identity, camera, query):
    """By a loop over all pairs."""
    places = range(len(identity))
    return any(
        query[i] and not query[j] and identity[i] == identity[j] >= 0 and camera[i] != camera[j]
        for i in places
        for j in places
    )


def test_an_open_set_in_which_nothing_can_be_found_is_refused_before_any_training():
    source = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(300):
        identity = torch.randint(-1, 3, (5,), generator=source)
        camera, query = torch.randint(2, (5,), generator=source), torch.randint(2, (5,), generator=source).bool()
        seen.add(found := findable(identity.tolist(), camera.tolist(), query.tolist()))
        if found:
            Retrieval(identity, camera, query)
        else:
            with pytest.raises(ValueError, match=f"none of {int(query.sum())} queries has a match: give the gallery"):
                Retrieval(identity, camera, query)
    assert seen == {True, False}


def test_the_examples_of_some_classes_get_new_numbers():
    every = Examples(torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1), torch.tensor([2, 0, 1, 2, 0]))
    some = every.of_classes([2, 0])
    assert some.x.flatten().tolist() == [0, 1, 3, 4]
    assert some.y.tolist() == [0, 1, 0, 1]
    assert every.of_classes([1, 5, 0, 2]).y.tolist() == [3, 2, 0, 3, 2]
