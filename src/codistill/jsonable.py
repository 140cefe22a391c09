"""Dataclasses as plain JSON values, and back by their type hints."""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from codistill.spec import Spec

T = TypeVar("T")
PLAIN: Mapping[Any, Any] = {  # a type and what it is in JSON
    int: int,
    float: int | float,
    str: str,
    bool: bool,
    tuple: list | tuple,
    list: list | tuple,
    Sequence: list | tuple,
    dict: Mapping,
    Mapping: Mapping,
}


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
        TypeError: a field without a default is absent, or a value is of another type.
    """
    typed: T = _typed(kind, value)
    return typed


def _is(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a type; a whole number is a float too if not too large; true is no number."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, PLAIN[kind]) and not (isinstance(value, int) and abs(value) > sys.float_info.max)


def _typed(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if value is None:
        return None
    if origin in (UnionType, Union):
        *others, last = (each for each in arguments if each is not NoneType)
        for each in others:
            with suppress(TypeError):
                return _typed(each, value)
        return _typed(last, value)
    if kind is Spec:
        return Spec.of(value)
    if is_dataclass(kind) and isinstance(value, Mapping):
        hints = get_type_hints(kind)
        present = {f.name: _typed(hints[f.name], value[f.name]) for f in fields(kind) if f.name in value}
        return kind(**present)  # type: ignore[operator]
    if (is_dataclass(kind) and not isinstance(value, origin)) or (origin in PLAIN and not _is(value, origin)):
        raise TypeError(f"{str(value)[:40]!r} is no {getattr(kind, '__name__', kind)}")
    if isinstance(value, Mapping):
        return {key: _typed(arguments[-1] if arguments else Any, each) for key, each in value.items()}
    if isinstance(value, list):
        each = [_typed(arguments[0] if arguments else Any, item) for item in value]
        return tuple(each) if origin is tuple else each
    return value
