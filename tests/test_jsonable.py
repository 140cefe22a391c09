"""Dataclasses as JSON and back."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from codistill.jsonable import from_json, to_json
from codistill.spec import Spec


@dataclass(frozen=True)
class Inner:
    size: float
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Outer:
    name: str
    model: Spec
    first: Inner | None
    rows: list[Inner]
    by_name: dict[str, Inner]
    nested: tuple[tuple[int, ...], ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None


OUTER = Outer(
    "a", Spec.of("resnet32:shortcut=a"), None, [Inner(1.5, (0.0, 1.0)), Inner(2.0)], {"x": Inner(3.0)}, ((1, 2), ())
)


def test_a_dataclass_comes_back_from_the_text_of_its_json():
    assert from_json(Outer, json.loads(json.dumps(to_json(OUTER)))) == OUTER


def test_only_a_field_that_is_none_by_default_is_left_out():
    assert to_json(OUTER) == {
        "name": "a",
        "model": "resnet32:shortcut=a",
        "first": None,
        "rows": [{"size": 1.5, "ends": [0.0, 1.0]}, {"size": 2.0}],
        "by_name": {"x": {"size": 3.0}},
        "nested": [[1, 2], []],
        "values": {},
    }


def test_a_number_that_is_not_finite_becomes_none_on_request():
    assert to_json([Inner(math.nan), math.inf, 1], finite=True) == [{"size": None}, None, 1]
    assert math.isnan(to_json(Inner(math.nan))["size"])


def test_a_list_of_dataclasses_comes_back():
    assert from_json(list[Inner], [{"size": 1.0}, {"size": 2.0}]) == [Inner(1.0), Inner(2.0)]


def test_a_key_that_is_no_field_is_passed_over_and_an_absent_one_takes_its_default():
    assert from_json(Inner, {"size": 1.0, "colour": "red"}) == Inner(1.0)
    with pytest.raises(TypeError, match="size"):
        from_json(Inner, {"ends": [0.0, 1.0]})
