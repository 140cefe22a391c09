"""Labels of your own."""

import csv
from pathlib import Path

import torch
from torch import Tensor

from codistill.data.noise import Noise

HEAD = ["index", "label"]
DIGITS = 19  # fewer, and a number fits into 64 bits


def file(path: str) -> Noise:
    """Labels from a file: one class number to a line for all training examples, or index,label for some.

    The examples are those of the whole training set in its order, counted from 0, and classes are numbers from 0. A
    file whose first line is ``index,label`` is a CSV file of examples and their new labels; the others keep theirs. The
    labels are the same for every seed.

    Args:
        path: Of the file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: a line of another form; on use, labels that do not fit the data. Names the line.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"noise: {path} is not there: give a file of labels")
    lines, numbers = _read(path)
    index, labels = (numbers[:, 0] if numbers.shape[1] == 2 else torch.arange(len(numbers))), numbers[:, -1]

    def noise(y: Tensor, classes: int, source: torch.Generator) -> Tensor:
        if numbers.shape[1] == 1 and len(labels) != len(y):
            raise ValueError(
                f"noise: {path} has {len(labels)} labels, and there are {len(y)} training examples: give one to each "
                "(and set no limit), or write index,label for some"
            )
        wrong = (index < 0) | (index >= len(y)) | (labels < 0) | (labels >= classes)
        if len(bad := wrong.nonzero().flatten()):
            raise ValueError(
                f"noise: {path}, line {lines[int(bad[0])]}: example {int(index[bad[0]])}, label {int(labels[bad[0]])}: "
                f"there are {len(y)} examples and {classes} classes, counted from 0"
            )
        changed = y.clone()
        changed[index.to(y.device)] = labels.to(y.device)
        return changed.where(y >= 0, y)

    return noise


def _read(path: str) -> tuple[list[int], Tensor]:
    """The lines that hold numbers, and these, a row to each line: ``[N, 1]`` or ``[N, 2]``."""
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        rows: dict[int, list[str]] = {}
        try:
            for row in reader:
                if row:
                    rows[reader.line_num] = row
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"noise: {path}, line {reader.line_num + 1}: {error}: write it as UTF-8") from error
    width = 1
    if rows and [field.strip() for field in next(iter(rows.values()))] == HEAD:
        width = 2
        del rows[min(rows)]
    form = "index,label" if width == 2 else "one class number (or begin with the line index,label)"
    numbers = []
    for line, row in rows.items():
        if len(row) != width or not all(field.strip().isdecimal() and len(field) < DIGITS for field in row):
            raise ValueError(f"noise: {path}, line {line}: {','.join(row)!r}: write {form}")
        numbers.append([int(field) for field in row])
    found = torch.tensor(numbers, dtype=torch.int64).reshape(-1, width)
    index, counts = torch.unique(found[:, 0], return_counts=True)
    if width == 2 and len(twice := index[counts > 1]):
        raise ValueError(f"noise: {path} names example {int(twice[0])} twice: leave one out")
    return list(rows), found


__all__ = ["file"]
