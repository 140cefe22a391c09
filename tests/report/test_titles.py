"""What runs and comparisons are called beside one another."""

from codistill.report.titles import distinct


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
