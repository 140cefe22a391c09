"""What cannot be used: an error about the first, or a warning that counts all of it."""

import warnings
from collections.abc import Sequence

LETTERS = 60  # of a name in a message


def left_out(
    where: str,
    what: str,
    total: int,
    faults: Sequence[str],
    *,
    skip_bad: bool,
    fix: str = "repair it",
    error: type[Exception] = ValueError,
) -> None:
    """Account for the items that cannot be used.

    Args:
        where: The data set, file or folder, for messages.
        what: Items in the plural: ``rows``, ``images``.
        total: How many there are, good and bad.
        faults: One text for each bad item: which it is, and why it cannot be used.
        skip_bad: Warn and go on, in place of an error.
        fix: What to do about a bad item.
        error: What is raised.

    Raises:
        Exception: of the type ``error``: an item is bad and ``skip_bad`` is off (quotes the first), or all are bad.
    """
    if faults and not skip_bad:
        raise error(f"{where}: {faults[0]}: {fix}, or set skip_bad=true (as in --data folder:skip_bad=true)")
    if faults:
        some = "; ".join(faults[:3]) + ("; ..." if len(faults) > 3 else "")
        warnings.warn(f"{where}: {len(faults)} of {total} {what} cannot be used and are left out: {some}", stacklevel=3)
    if len(faults) == total:
        raise error(f"{where}: none of {total} {what} can be used: {fix}")


def shortened(names: Sequence[str], most: int = 5) -> str:
    """The first names, each at most `LETTERS` long, as a message lists them."""
    first = (name if len(name) <= LETTERS else f"{name[:LETTERS]}..." for name in names[:most])
    return ", ".join(first) + (", ..." if len(names) > most else "")
