"""Checks of an architecture's input shape."""

from math import prod


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
