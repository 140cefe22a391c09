"""Pictures in folders, one to a class: finding the classes and their files."""

import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from codistill.data.cut import SUFFIXES


def classes(root: Path, name: str) -> tuple[str, ...]:
    """The names of a folder's classes, in order; hidden folders and files are passed over.

    Args:
        root: Holds a folder for each class.
        name: Of the data set, for messages.

    Raises:
        FileNotFoundError: it holds no folders.
        ValueError: it holds only one.
    """
    entries = [entry for entry in os.scandir(root) if not entry.name.startswith(".")]
    names = tuple(sorted(entry.name for entry in entries if entry.is_dir()))
    if not names:
        loose = sum(is_picture(entry.name) for entry in entries)
        found = f"{loose} pictures and no folders" if loose else "no folders"
        raise FileNotFoundError(
            f"{name}: {root} holds {found}: put the pictures of each class into a folder of its own"
        )
    if len(names) < 2:
        raise ValueError(f"{name}: {root} holds one class only, {names[0]!r}: give two or more")
    return names


def pictures(root: Path, label: str, visited: dict[str, int] | None = None) -> list[str]:
    """The pictures of a class, below its folder or in folders there, as names below ``root``, in order.

    Args:
        root: Holds a folder for each class.
        label: The class.
        visited: Is given every folder that was looked into, and the time of its last change, in nanoseconds.
    """
    return sorted(_below(root / label, label, {} if visited is None else visited))


def _below(folder: Path, name: str, visited: dict[str, int]) -> Iterator[str]:
    visited[name] = folder.stat().st_mtime_ns
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if is_picture(entry.name):  # if it is a folder of that name, reading it says so
            yield f"{name}/{entry.name}"
        elif entry.is_dir():
            yield from _below(folder / entry.name, f"{name}/{entry.name}", visited)


def is_picture(name: str) -> bool:
    """Whether a file is called as pictures are."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def same_classes(train: Path, test: Path, names: Collection[str], others: Collection[str], name: str) -> None:
    """Raise a ValueError that names the classes which only one of the two parts has."""
    if different := set(names) ^ set(others):
        listed = ", ".join(sorted(different)[:10]) + (", ..." if len(different) > 10 else "")
        raise ValueError(
            f"{name}: {train} and {test} differ in classes: only one of them holds {listed}; "
            "add the rest or remove those"
        )


def without_empty(root: Path, counts: dict[str, int], name: str, skip_bad: bool) -> tuple[str, ...]:
    """The classes that have pictures.

    Args:
        root: Where they are.
        counts: How many pictures each class has.
        name: Of the data set.
        skip_bad: Leave out a class without pictures, with a warning that counts them, in place of an error.

    Raises:
        FileNotFoundError: a class has none; names it.
        ValueError: fewer than two have any.
    """
    empty = [label for label, count in counts.items() if not count]
    if empty and not skip_bad:
        raise FileNotFoundError(
            f"{name}: class {empty[0]!r} has no pictures in {root / empty[0]}: add some "
            f"({', '.join(sorted(SUFFIXES))}), remove it, or set skip_bad=true"
        )
    if empty:
        left_out(name, f"of {len(counts)} classes have no pictures that can be read in {root}", empty)
    kept = tuple(label for label, count in counts.items() if count)
    if len(kept) < 2:
        raise ValueError(f"{name}: {len(kept)} of the classes in {root} have pictures: give two or more")
    return kept


def left_out(name: str, what: str, items: Sequence[object]) -> None:
    """Warn that something is left out: how many of what, and the first of them."""
    some = ", ".join(map(str, items[:3])) + (", ..." if len(items) > 3 else "")
    warnings.warn(f"{name}: {len(items)} {what} and are left out: {some}", stacklevel=3)
