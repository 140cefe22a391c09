"""Many comparisons in one table."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given.

    p_(k) ascending, k = 1..m: max over j <= k of (m - j + 1) p_(j), at most 1. Calling those at or below 5 % real is
    wrong in at most 5 % of tables about even one row, whatever the rows have in common. Holm 1979.

    Raises:
        ValueError: a value outside 0..1.
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"p_values: {wrong[0]} is no probability: give values from 0 to 1")
    adjusted, largest, left = list(p_values), 0.0, len(p_values)
    for row in sorted(range(left), key=p_values.__getitem__):
        largest = adjusted[row] = max(largest, min(1.0, left * p_values[row]))
        left -= 1
    return adjusted


__all__ = ["holm"]
