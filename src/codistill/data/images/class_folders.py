"""Images in folders, one to a class: finding the classes and their files."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from codistill.data.examples import Examples
from codistill.data.images.cut import SUFFIXES
from codistill.data.images.lazy import FileNames
from codistill.data.skipping import left_out, shortened


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
        loose = sum(is_image(entry.name) for entry in entries)
        content = f"{loose} images and no folders" if loose else "no folders"
        ways = "put the images of each class into a folder of its own"
        raise FileNotFoundError(f"{name}: {root} holds {content}: {ways}")
    if len(names) < 2:
        raise ValueError(f"{name}: {root} holds one class only, {names[0]!r}: give two or more")
    return names


def image_files(root: Path, folder: str, visited: dict[str, int]) -> Iterator[str]:
    """The images in a class's folder and all folders below, as names below ``root``, in no order.

    Args:
        root: Holds a folder for each class.
        folder: The class, or a folder below it.
        visited: Receives every folder that was searched, and the time of its last change, in nanoseconds.
    """
    visited[folder] = (root / folder).stat().st_mtime_ns
    for entry in os.scandir(root / folder):
        name = f"{folder}/{entry.name}"
        if is_image(entry.name):  # if it is a folder of that name, reading it says so
            yield name
        elif entry.is_dir() and not entry.name.startswith("."):
            yield from image_files(root, name, visited)


def is_image(name: str) -> bool:
    """Whether a file has the suffix of an image and is not hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")


def shared_classes(train: Path, test: Path | None, name: str) -> tuple[str, ...]:
    """The classes of a folder, or of two; a ValueError names those that only one of them has."""
    names = classes(train, name)
    if different := set(names) ^ set(names if test is None else classes(test, name)):
        only = f"only one of them holds {shortened(sorted(different), 10)}"
        raise ValueError(f"{name}: {train} and {test} differ in classes: {only}; add the others or remove those")
    return names


def listed(root: Path, names: Sequence[str], visited: dict[str, int]) -> tuple[FileNames, Tensor]:
    """The images of some classes, each in order of their names, and the labels ``[N]``; see `image_files`."""
    files = [sorted(image_files(root, name, visited)) for name in names]
    y = torch.tensor([label for label, images in enumerate(files) for _ in images], dtype=torch.int64)
    return FileNames.of(root, chain.from_iterable(files)), y


def of_full_classes(
    examples: Examples, root: Path, names: Sequence[str], name: str, skip_bad: bool
) -> tuple[Examples, tuple[str, ...]]:
    """Examples of classes, numbered anew without those that have none, and the names of the classes that have any."""
    full = without_empty(root, names, examples.y, name, skip_bad)
    return examples.of_classes([names.index(label) for label in full]), full


def without_empty(root: Path, names: Sequence[str], y: Tensor, name: str, skip_bad: bool) -> tuple[str, ...]:
    """The classes that have images.

    Args:
        root: Where they are.
        names: Of the classes.
        y: Labels of the images, ``[N]``.
        name: Of the data set, for messages.
        skip_bad: Leave out a class without images, with a warning that counts them, in place of an error.

    Raises:
        FileNotFoundError: a class has none; names it.
        ValueError: fewer than two have any.
    """
    full = tuple(names[label] for label in torch.unique(y).tolist())
    empty = [f"class {label!r} has no images in {root / label}" for label in names if label not in full]
    fix = f"add some ({', '.join(sorted(SUFFIXES))}) or remove it"
    left_out(name, f"classes in {root}", len(names), empty, skip_bad=skip_bad, fix=fix, error=FileNotFoundError)
    if len(full) < 2:
        raise ValueError(f"{name}: {len(full)} of the classes in {root} have images: give two or more")
    return full


def named(
    root: Path, pattern: str, form: str, name: str, skip_bad: bool, *, tells: str, example: str
) -> dict[str, re.Match[str]]:
    """The images of a set whose names have a form, in order, with its fields; other files are passed over.

    Args:
        root: The folder that they are below.
        pattern: How deep they lie there: ``*``, ``*/*``.
        form: Of a name, a regular expression.
        name: Of the data set, for messages.
        skip_bad: Leave out images with another name, with a warning that counts them, in place of an error.
        tells: What a name must tell, for messages.
        example: A name that does.
    """
    images = sorted(path for path in root.glob(pattern) if is_image(path.name))
    if not images:
        raise FileNotFoundError(f"{name}: {root} has no images such as {example}: unpack the set again")
    matches = {path: re.fullmatch(form, path.name, re.ASCII) for path in images}
    bad = [str(path) for path, match in matches.items() if not match]
    fix = f"the name must tell {tells} as {example} does; rename or remove it, or unpack the set again"
    left_out(name, f"images in {root}", len(images), bad, skip_bad=skip_bad, fix=fix)
    return {path.relative_to(root).as_posix(): match for path, match in matches.items() if match}
