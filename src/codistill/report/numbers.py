"""How numbers and long names are printed. A number that is missing (None or NaN) is a dash, never a blank or "nan"."""

import math
import re
from collections.abc import Callable
from typing import TypeGuard

MISSING = "–"
_LARGE = 1e6  # from here on a number takes the form 1.23e+20, so that a table keeps its own


def known(x: float | None) -> TypeGuard[float]:
    """Whether it is a finite number."""
    return x is not None and math.isfinite(x)


def _fixed(x: float, digits: int, sign: str = "") -> str:
    """So many decimals; of a large number three figures."""
    return f"{x:{sign}.2e}" if abs(x) >= _LARGE else f"{x:{sign}.{digits}f}"


def percent(x: float | None, digits: int = 2) -> str:
    """0.9412 -> ``94.12``."""
    return _fixed(100 * x, digits) if known(x) else MISSING


def decimal(x: float | None, digits: int = 3) -> str:
    """0.12345 -> ``0.123``; below zero with a proper minus sign."""
    return _fixed(x, digits).replace("-", "−") if known(x) else MISSING


def figure(x: float | None, in_percent: bool = False, digits: int = 3) -> str:
    """Significant figures, or a fraction as percent: 0.01234 -> ``0.0123`` or ``1.23``, 123456.0 -> ``123456``."""
    if not known(x):
        return MISSING
    text = f"{100 * x:.2f}" if in_percent else f"{x:.0f}" if 10**digits <= abs(x) < 1e6 else f"{x:.{digits}g}"
    return text.replace("-", "−")


def points(x: float | None, digits: int = 2) -> str:
    """A difference of fractions in percentage points, with its sign: 0.0058 -> ``+0.58``."""
    if not known(x):
        return MISSING
    return "0." + digits * "0" if x == 0 else _fixed(100 * x, digits, "+").replace("-", "−")


def signed(x: float | None, digits: int = 3) -> str:
    """A difference with its sign: -0.0164 -> ``−0.016``."""
    return _fixed(x, digits, "+").replace("-", "−") if known(x) else MISSING


def interval(bounds: tuple[float, float] | None, show: Callable[[float], str] = points) -> str:
    """``[+0.33, +0.83]``, in percentage points where nothing else is said."""
    return MISSING if bounds is None else f"[{show(bounds[0])}, {show(bounds[1])}]"


def probability(p: float) -> str:
    """Two figures, and no more decimals than four: 0.0123 -> ``0.012``; 0.00001 -> ``<0.0001``."""
    return "<0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.995 else "1.0"


def times(x: float | None, digits: int = 1) -> str:
    """A ratio to three figures: 1.053 -> ``1.05``, 12.34 -> ``12.3``, 123.4 -> ``123``; 4 -> ``4.0``."""
    if not known(x):
        return MISSING
    if x >= 99.95:
        return _fixed(x, 0)
    text = f"{x:.2f}" if x < 9.995 else f"{x:.1f}"
    return text[:-1] if digits < 2 and text.endswith("0") and text[-3] == "." else text


def count(n: int, one: str, many: str = "") -> str:
    """``1 seed``, ``10 seeds``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def listed(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, broken at spaces and after ``, + : ; = /``; longer pieces stand alone."""
    lines = [""]
    for piece in re.findall(r"[^\s,+:;=/]*[,+:;=/]*\s*", text):
        if piece and lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]
