"""The classes of each peer, one by one."""

from torch import Tensor

from codistill.data.shards import Deal, Labels, deal_classes


def table(rows: str | int) -> Deal:
    """The classes of each peer, by number: 0-4/5-9 gives two peers five each, 0+2/1+3/0-3 has three peers.

    A class that several peers have is shared evenly. From Python a list of lists will do: ``[[0, 2], [1, 3]]``.

    Args:
        rows: Peers are separated by /, classes by +; 5-9 are the classes from 5 to 9.
    """
    what = f"shards='table:{rows}'"
    classes_of = [_row(what, row) for row in str(rows).split("/")]

    def dealt(labels: Labels, peers: int, seed: int) -> list[Tensor]:
        if len(classes_of) != peers:
            raise ValueError(
                f"{what} has rows for {len(classes_of)} peers, and there are {peers}: give one row to each"
            )
        highest = max(max(row) for row in classes_of)
        if labels.classes and highest >= len(labels.classes):
            raise ValueError(f"{what}: there is no class {highest}: they go from 0 to {len(labels.classes) - 1}")
        return deal_classes(what, labels, classes_of)

    return dealt


def _row(what: str, row: str) -> list[int]:
    """The classes that a row names."""
    numbers: list[int] = []
    for item in row.split("+"):
        first, _, last = item.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
            raise ValueError(f"{what}: {item!r} is no class: write 3, or 0-4, and join several by +")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


__all__ = ["table"]
