"""Checks of an architecture's input shape and options."""

from collections.abc import Iterable
from math import prod

from codistill.checks import number


def image(model: str, shape: tuple[int, ...], side: int = 1, instead: str = "mlp") -> tuple[int, int, int]:
    """The shape, if it is ``(C, H, W)`` with H and W of at least ``side``; else a ValueError that says what to do."""
    if len(shape) != 3 or prod(shape) == 0:
        raise ValueError(f"{model} takes images of shape (C, H, W), not {shape}: reshape the examples, or use mlp")
    channels, height, width = shape
    if min(height, width) < side:
        raise ValueError(
            f"{model} takes images from {side} x {side}, not shape {shape}: enlarge them, or use {instead}"
        )
    return channels, height, width


def fraction(setting: str, value: float) -> float:
    """The value, if it is a number from 0 to below 1; else a ValueError that names the setting."""
    if number(setting, value, 0, 1) == 1:
        raise ValueError(f"{setting}={value!r}: give a number from 0 to below 1")
    return value


def one_of(model: str, setting: str, value: object, valid: Iterable[object]) -> None:
    """Raise a ValueError that names model, setting and the choices where the value is none of them."""
    valid = tuple(valid)
    if value not in valid or isinstance(value, bool):
        raise ValueError(f"{model}: {setting}={value!r}: give {' or '.join(map(repr, valid))}")
