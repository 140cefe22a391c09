"""What runs and comparisons are called beside one another."""

import pytest

from codistill.report.titles import distinct, title_of


def test_what_is_compared_is_the_title_where_it_tells_them_apart():
    assert distinct(["dml", "kd"], [{"data": "a"}, {"data": "b"}], ["x", "y"]) == ["dml", "kd"]


def test_equal_titles_get_the_settings_in_which_they_differ():
    settings = [
        {"data": "digits", "models": ["cnn"], "lr": 0.1},
        {"data": "digits", "models": ["mlp", "cnn"], "lr": 0.1},
    ]
    assert distinct(["dml", "dml"], settings, ["x", "y"]) == ["dml, models cnn", "dml, models mlp cnn"]
    assert distinct(["dml", "kd", "dml"], [{"a": 1}, {"a": 3}, {"a": 2}], list("xyz")) == ["dml, a 1", "kd", "dml, a 2"]


def test_only_what_differs_in_nothing_is_called_by_its_folder():
    assert distinct(["dml", "dml"], [{"a": 1}] * 2, ["x", "y"]) == ["dml (x)", "dml (y)"]
    assert distinct(["dml", "dml"], [{"a": 1}] * 2, ["x", "y"], [0, 1]) == ["dml", "dml"]  # seeds of one method
    assert distinct(["dml"] * 3, [{"a": 1}] * 3, list("xyz"), [0, 1, 0]) == ["dml (x)", "dml (y)", "dml (z)"]


ALONE, DML2, DML4 = ("alone", "Alone"), ("dml:peers=2", "DML, 2 networks"), ("dml:peers=4", "DML, 4 networks")
SMOOTHED, KD = ("alone:label_smoothing=0.1", "Alone, label smoothing 0.1"), ("kd:teacher=alone", "KD, graph ring")
PART = ("dml:peers=2 [mlp]", "mlp in DML, 2 networks")


@pytest.mark.parametrize(
    ("question", "rows", "data", "title"),
    [
        ("", [ALONE, SMOOTHED, DML2, DML4], "digits", "DML with 2 and 4 peers against training alone on digits"),
        ("", [ALONE, PART, KD], "hf:imdb,rows=9", "DML with 2 peers and KD against training alone on hf:imdb"),
        ("", [ALONE, DML2], "python:bars", "DML with 2 peers against training alone on your own data bars"),
        ("", [ALONE, DML2], "python", "DML with 2 peers against training alone on your own data"),
        ("", [ALONE, DML2], None, "DML with 2 peers against training alone"),
        ("", [ALONE, SMOOTHED], "digits", "Training alone on digits"),
        (
            "",
            [ALONE, *((name, name) for name in ("dml", "kd", "ktg", "one"))],
            "a",
            "4 methods against training alone on a",
        ),
        ("Private labels", [ALONE, DML2], "digits", "Private labels (digits)"),
        ("Private labels of Digits", [ALONE, DML2], "digits", "Private labels of Digits"),
        ("Other digits", [ALONE, DML2], "python:digits", "Other digits (your own data digits)"),
        ("Private labels", [ALONE, DML2], None, "Private labels"),
    ],
)
def test_a_comparison_is_called_by_what_was_compared_and_on_which_data(question, rows, data, title):
    assert title_of(question, rows, data) == title
