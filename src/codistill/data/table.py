"""Any table of texts and labels: CSV, TSV or Parquet."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from codistill.checks import flag
from codistill.data.download import nothing_to_fetch
from codistill.data.examples import DataSet
from codistill.data.grouping import numbered
from codistill.data.skipping import shortened
from codistill.data.split import hold_out
from codistill.data.text.rows import SUFFIXES, Columns, Row, class_numbers, sort_key, usable
from codistill.data.text.token_ids import TextOptions, Texts, takes_text_options, text_data

__all__ = ["table"]

FIFTH = 0.2  # held out where there is no test file
MANY, MOSTLY = 10, 0.9  # rows from which on labels that are nearly all different are no classes


@takes_text_options()
def table(
    root: Path,
    texts: TextOptions,
    *,
    download: bool = False,
    train: str = "train",
    test: str | float | None = None,
    text: str = "text",
    label: str = "label",
    classes: str | None = None,
    header: bool = True,
    group: str | None = None,
    encoding: str = "utf-8",
    quotes: bool = True,
    separator: str | None = None,
    skip_bad: bool = False,
) -> DataSet:
    """Your own texts: a CSV, TSV or Parquet file with a column of texts and one of labels.

    The first line names the columns; a column may also be given by its number, from 1. Labels may be any words or
    numbers; classes are those of the training file, in order. A text may be empty: it is then a single unknown token. A
    stray quote may join several lines to one bad row; the message about it names them all.

    Args:
        download: There is nothing to download; an error where it is on.
        train: A file: its path, or its name in the folder, with or without the suffix.
        test: A file, or the fraction to hold out; None: test beside train, else a fifth.
        text: The column of texts, or several: title+description, 2+3.
        label: The column of labels.
        classes: A file of class names, one a line. Labels are these names, or the numbers of their lines from 0 or 1.
        header: The first line names the columns; false: it is a row, and columns are given by number.
        group: A column of the training file that says whose a text is, such as a clinic's: for ``shards=groups``.
        encoding: Of CSV and TSV.
        quotes: Fields may stand in double quotes; false: a quote is a character like any other.
        separator: A character, or tab; None: a comma in .csv, a tab in .tsv and .txt.
        skip_bad: Leave out rows that cannot be used, with a warning that counts them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an option out of range, an unknown column, or a row that cannot be used; names the file and line.
        ImportError: a Parquet file, and pyarrow is not installed.
    """
    nothing_to_fetch("table", download, "the folder that holds your files")
    flag("table: skip_bad", skip_bad)
    between = None if separator is None else str(separator)
    columns = Columns(str(text), str(label), str(encoding), quotes, between, header=header)
    grouping = columns if group is None else replace(columns, group=str(group))  # of texts to test on no matter
    path = _file(root, "train", str(train))
    tested = _test_part(root, path, test)
    rows = usable(path, list(grouping.rows(path)), skip_bad)
    labels = _labels(path, rows, columns.label)
    names = labels if classes is None else _class_names(_file(root, "classes", str(classes)), labels)
    seen = _numbered(rows, labels)
    if isinstance(tested, Path):
        held = _numbered(usable(tested, [_known(row, labels) for row in columns.rows(tested)], skip_bad), labels)
    else:
        kept, out = (i.tolist() for i in hold_out("table", torch.tensor(seen.labels), names, tested))
        rows, seen, held = [rows[i] for i in kept], seen.take(kept), seen.take(out)
    data = text_data(seen, held, names, texts, root)
    if group is None:
        return data
    number, groups = numbered([row.group for row in rows])
    return replace(data, train=replace(data.train, group=number), groups=groups)


def _labels(path: Path, rows: Sequence[Row], label: str) -> tuple[str, ...]:
    """The labels that occur, in order."""
    labels = tuple(sorted({row.label for row in rows}, key=sort_key))
    if len(labels) < 2:
        raise ValueError(f"{path}: every label is {labels[0]!r}: give two or more (label={label})")
    if len(rows) >= MANY and len(labels) > MOSTLY * len(rows):
        raise ValueError(
            f"{path}: column {label!r} has {len(labels)} different labels in {len(rows)} rows: give the column of the "
            "classes (label=COLUMN), and that of the texts (text=COLUMN); are they swapped?"
        )
    return labels


def _class_names(path: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """The name of each label, by a file of names: labels are all of them, or all of their numbers from 0 or 1."""
    names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: two classes have one name: rename one")
    if set(labels) == set(names):
        return tuple(labels)
    if any(list(labels) == [str(number + first) for number in range(len(names))] for first in (0, 1)):
        return names
    raise ValueError(
        f"{path} names {len(names)} classes ({shortened(names)}), and the training file's {len(labels)} labels "
        f"({shortened(labels)}) are neither these nor 0 to {len(names) - 1} nor 1 to {len(names)}: correct classes=FILE"
    )


def _file(root: Path, setting: str, name: str) -> Path:
    """A file by its path or by its name in a folder; a FileNotFoundError that says where it was looked for."""
    tries = [root / f"{name}{suffix}" for suffix in ("", *SUFFIXES)] + [Path(name)]
    if path := next((path for path in tries if path.is_file()), None):
        return path
    files = sorted(p.name for p in root.iterdir() if p.suffix.lower() in SUFFIXES) if root.is_dir() else []
    hint = f"{root} holds {shortened(files) or 'no file of ' + ', '.join(SUFFIXES)}"
    ways = f"name it ({setting}=FILE), or its folder (--data-root FOLDER)"
    raise FileNotFoundError(f"table: {setting}={name}: no such file; {hint}: {ways}")


def _test_part(root: Path, train: Path, test: str | float | None) -> Path | float:
    """The test file, or the fraction to hold out."""
    if test is not None:
        return _file(root, "test", test) if isinstance(test, str) else test
    beside = [train.with_name(f"test{suffix}") for suffix in SUFFIXES if train.stem == "train"]
    return next((path for path in beside if path.is_file()), FIFTH)


def _known(row: Row, names: Sequence[str]) -> Row:
    """A row of the test part, with a fault where its label is none of the training part's."""
    if row.fault or row.label in names:
        return row
    return Row(row.lines, fault=f"label {row.label!r} is not in the training file ({shortened(names)})")


def _numbered(rows: Sequence[Row], names: Sequence[str]) -> Texts:
    """Texts with the numbers of their labels."""
    return Texts([row.text for row in rows], class_numbers([row.label for row in rows], names))
