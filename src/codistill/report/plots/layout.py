"""What the figures of a study have in common."""

from codistill.report.comparison import MARK
from codistill.report.numbers import wrapped
from codistill.statistics.interval import Gain
from codistill.study.summary import SummaryRow


def name_of(row: SummaryRow, width: int = 0) -> str:
    """A method's label for a figure, broken into lines where a width is given."""
    label = row.label + (f"\u00a0{MARK}" if row.same_gradient_as else "")
    return "\n".join(wrapped(label, width)) if width else label


def bars(gain: Gain | None) -> list[list[float]] | None:
    """From a mean gain down and up to the ends of its interval, in points; None without an interval."""
    if gain is None or gain.interval is None:
        return None
    low, high = gain.interval
    return [[100 * abs(low - gain.mean)], [100 * abs(high - gain.mean)]]
