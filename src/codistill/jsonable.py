"""Dataclasses as plain JSON values, and back by their type hints."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from codistill.spec import Spec

T = TypeVar("T")


def to_json(value: Any, *, finite: bool = False) -> Any:
    """Dicts, lists, numbers and text: a dataclass becomes a dict, a tuple a list, a spec its text.

    A field that is None by default is left out where it is None.

    Args:
        value: anything made of these.
        finite: whether a number that is not finite becomes None.
    """
    if isinstance(value, Spec):
        return str(value)
    if is_dataclass(value):
        values = {field: getattr(value, field.name) for field in fields(value)}
        value = {field.name: v for field, v in values.items() if v is not None or field.default is not None}
    if isinstance(value, Mapping):
        return {key: to_json(each, finite=finite) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(each, finite=finite) for each in value]
    return None if finite and isinstance(value, float) and not math.isfinite(value) else value


def from_json(kind: type[T], value: Any) -> T:
    """The inverse of `to_json`, by the type hints of `kind`: dataclasses, specs, lists, tuples and dicts of one type,
    each of them perhaps None.

    A field that is absent takes its default; a key that is no field is passed over.

    Raises:
        TypeError: a field without a default is absent.
    """
    typed: T = _typed(kind, value)
    return typed


def _typed(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if value is None:
        return None
    if origin in (UnionType, Union):
        return _typed(next(each for each in arguments if each is not NoneType), value)
    if kind is Spec:
        return Spec.of(value)
    if is_dataclass(kind) and isinstance(value, Mapping):
        hints = get_type_hints(kind)
        present = {f.name: _typed(hints[f.name], value[f.name]) for f in fields(kind) if f.name in value}
        return kind(**present)  # type: ignore[operator]
    if isinstance(value, Mapping):
        return {key: _typed(arguments[-1] if arguments else Any, each) for key, each in value.items()}
    if isinstance(value, list):
        each = [_typed(arguments[0] if arguments else Any, item) for item in value]
        return tuple(each) if origin is tuple else each
    return value
