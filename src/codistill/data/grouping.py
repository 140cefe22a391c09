"""Groups of training examples: whose they are, such as a clinic's."""

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from codistill.data.images.lazy import FileNames
from codistill.data.text.rows import sort_key
from codistill.spec import UnknownName

FOLDER = "folder"  # the folder below the class says it


def numbered(names: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    """The group of each example, by its number ``[N]``, and the names of the groups, in order as labels are."""
    groups = tuple(sorted(set(names), key=sort_key))
    numbers = {name: number for number, name in enumerate(groups)}
    return torch.tensor([numbers[name] for name in names], dtype=torch.int64), groups


def groups_of_files(name: str, images: FileNames, group: str) -> tuple[Tensor, tuple[str, ...]]:
    """The group of each image, by its number ``[N]``, and the names of the groups.

    Args:
        name: Of the data set, for messages.
        images: In a folder to each class.
        group: ``folder``: the folder below the class says it, ``<class>/<group>/1.png``; else a CSV file with the
            columns ``path`` (``<class>/1.png``) and ``group``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the group of an image is not told, or the file lacks a column; names it.
    """
    files = [images.path(number).relative_to(images.root).as_posix() for number in range(len(images))]
    if group == FOLDER:
        if loose := next((file for file in files if file.count("/") < 2), None):
            raise ValueError(
                f"{name}: group={FOLDER}: {images.root / loose} is in no folder below its class: move it into one"
            )
        return numbered([file.split("/")[1] for file in files])
    if not Path(group).is_file():
        raise FileNotFoundError(f"{name}: group={group}: give {FOLDER}, or a CSV file with the columns path and group")
    with Path(group).open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        try:
            for column in ("path", "group"):
                if column not in (rows.fieldnames or ()):
                    raise UnknownName(f"column of {group}", column, rows.fieldnames or ())
            told = {row["path"]: row["group"] for row in rows if row["group"]}
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{name}: {group}, line {rows.line_num + 1}: {error}: write it as UTF-8") from error
    if lost := next((file for file in files if file not in told), None):
        raise ValueError(f"{name}: {group} does not tell the group of {lost}: add a line path,group for it")
    return numbered([told[file] for file in files])
