"""Checks of values: an error names the setting, the value and the fix."""


def whole(setting: str, value: int, low: int = 1) -> int:
    """The value, if it is a whole number of at least low; else a ValueError that names the setting."""
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{setting}={value!r}: give a whole number of at least {low}")
    return value


def number(setting: str, value: float, low: float = 0.0, high: float = float("inf")) -> float:
    """The value, if it is a number from low to high; else a ValueError that names the setting."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        limits = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ValueError(f"{setting}={value!r}: give a number {limits}")
    return value


__all__ = ["number", "whole"]
