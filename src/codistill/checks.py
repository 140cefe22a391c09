"""Checks of values: an error names the setting, the value and the fix."""

from collections.abc import Iterable
from math import inf


def whole(setting: str, value: object, low: int | None = 1) -> int:
    """The value, if it is a whole number of at least ``low``; else a ValueError that names the setting."""
    if not isinstance(value, int) or isinstance(value, bool) or (low is not None and value < low):
        raise ValueError(f"{setting}={value!r}: give a whole number" + ("" if low is None else f" of at least {low}"))
    return value


def number(setting: str, value: object, low: float = 0.0, high: float = inf, *, above: bool = False) -> float:
    """The value, if it is a number from ``low`` (or above it) to ``high``; else a ValueError that names the setting."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not isinstance(value, int | float) or not fits or (above and value == low):
        least, most = ("above", " and up to") if above else ("at least" if high == inf else "from", " to")
        limits = f"{least} {low:g}" + ("" if high == inf else f"{most} {high:g}")
        raise ValueError(f"{setting}={value!r}: give a number {limits}")
    return value


def fraction(setting: str, value: object) -> float:
    """The value, if it is a number from 0 up to but not including 1; else a ValueError that names the setting."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"{setting}={value!r}: give a number from 0 to below 1")
    return value


def flag(setting: str, value: object) -> bool:
    """The value, if it is true or false; else a ValueError that names the setting."""
    if not isinstance(value, bool):
        raise ValueError(f"{setting}={value!r}: use true or false")
    return value


def one_of(setting: str, value: object, valid: Iterable[object]) -> None:
    """Raise a ValueError that names the setting and the choices, where the value is none of them."""
    valid = tuple(valid)
    if value not in valid or isinstance(value, bool):
        raise ValueError(f"{setting}={value!r}: give {' or '.join(map(repr, valid))}")
