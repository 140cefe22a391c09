"""How numbers are printed. A number that is missing (None or NaN) is a dash, never a blank or "nan"."""

import math
from typing import Any

MISSING = "–"


def known(x: Any) -> bool:
    """Is it a finite number?"""
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


def percent(x: float | None, digits: int = 2) -> str:
    """0.9412 -> ``94.12``."""
    return f"{100 * x:.{digits}f}" if x is not None and known(x) else MISSING


def decimal(x: float | None, digits: int = 3) -> str:
    """0.12345 -> ``0.123``; below zero with a proper minus sign."""
    return f"{x:.{digits}f}".replace("-", "−") if x is not None and known(x) else MISSING


def points(x: float | None, digits: int = 2) -> str:
    """A difference of fractions in percentage points, with its sign: 0.0058 -> ``+0.58``."""
    if x is None or not known(x):
        return MISSING
    return "0." + digits * "0" if x == 0 else f"{100 * x:+.{digits}f}".replace("-", "−")


def interval(bounds: Any) -> str:
    """``[+0.33, +0.83]`` in percentage points."""
    low, high = ends(bounds)
    return f"[{points(low)}, {points(high)}]" if low is not None else MISSING


def ends(bounds: Any) -> tuple[float, float] | tuple[None, None]:
    """The two ends of an interval, or (None, None) where one of them is not known."""
    if isinstance(bounds, list | tuple) and len(bounds) == 2 and known(bounds[0]) and known(bounds[1]):
        return float(bounds[0]), float(bounds[1])
    return None, None


def times(x: float | None, digits: int = 1) -> str:
    """A ratio to three figures: 1.053 -> ``1.05``, 12.34 -> ``12.3``, 123.4 -> ``123``; 4 -> ``4.0``."""
    if x is None or not known(x):
        return MISSING
    if x >= 99.95:
        return f"{x:.0f}"
    text = f"{x:.2f}" if x < 9.995 else f"{x:.1f}"
    return text[:-1] if digits < 2 and text.endswith("0") and text[-3] == "." else text


def count(n: int, one: str, many: str = "") -> str:
    """``1 seed``, ``10 seeds``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def listed(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
