"""Any table of texts and labels: CSV, TSV or Parquet."""

from collections.abc import Sequence
from pathlib import Path

from codistill.checks import flag
from codistill.data.examples import DataSet
from codistill.data.rows import SUFFIXES, Columns, Row, order, usable
from codistill.data.text import TextForm, Texts, hold_out, text_data

__all__ = ["table"]

FIFTH = 0.2  # to test on, where there is no file for it


def table(
    root: Path,
    *,
    download: bool = False,
    train: str = "train",
    test: str | float | None = None,
    text: str = "text",
    label: str = "label",
    encoding: str = "utf-8",
    quotes: bool = True,
    separator: str | None = None,
    skip_bad: bool = False,
    vocabulary: int = 15_000,
    length: int = 128,
    tokenizer: str = "bpe",
    vectors: str | None = None,
    lowercase: bool = True,
    min_count: int = 2,
    outputs: int | None = None,
) -> DataSet:
    """Your own texts: a CSV, TSV or Parquet file with a column of texts and one of labels.

    The first line names the columns. Labels may be any words or numbers; classes are those of the training file, in
    order. A text may be empty: it is then a single unknown token.

    Args:
        root: The folder that the files are in.
        download: There is nothing to download; an error where it is on.
        train: The file to learn from: its path, or its name in the folder, with or without the suffix.
        test: The file to test on, as `train`; or the fraction to hold out, stratified, the same for everybody, one of
            each class at least. None: the file called test beside a file called train, else a fifth.
        text: The column of texts.
        label: The column of labels.
        encoding: Of CSV and TSV.
        quotes: Fields may stand in double quotes; false: a quote is a character like any other.
        separator: Between fields: one character, or ``tab``. None: a comma in ``.csv``, a tab in ``.tsv`` and ``.txt``.
        skip_bad: Leave out rows that cannot be used, with a warning that counts them, in place of an error. Of a row
            with a wrong quote the first line is left out, and the next line begins another row.
        vocabulary: As in `codistill.data.nsmc`, and so what follows.
        length: Tokens of each text; what is longer is cut.
        tokenizer: bpe, wordpiece, words, or a path.
        vectors: Path of word vectors.
        lowercase: Capitals are read as small letters.
        min_count: How often a word or a pair of pieces is seen at least.
        outputs: Logits for each text: as many as classes; of two classes, 1 makes the task binary.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an option out of range, a column that is not there, or a row that cannot be used; names the file
            and the line.
        ImportError: a Parquet file, and pyarrow is not installed.
    """
    form = TextForm("table", vocabulary, length, tokenizer, vectors, lowercase, min_count, outputs)
    if download:
        raise ValueError("table: download=True, and there is nothing to fetch: turn it off and name a folder")
    flag("table: skip_bad", skip_bad)
    columns = Columns(str(text), str(label), str(encoding), quotes, None if separator is None else str(separator))
    path = _found(root, "train", str(train))
    tested = _test_file(root, path, test)
    rows = usable("table", path, list(columns.rows(path)), skip_bad)
    names = tuple(sorted({row.label for row in rows}, key=order))
    if len(names) < 2:
        raise ValueError(f"{path}: every label is {names[0]!r}: give two or more (label={label})")
    learned = _numbered(rows, names)
    if tested is not None:
        found = [_known(row, names) for row in columns.rows(tested)]
        held = _numbered(usable("table", tested, found, skip_bad), names)
        return text_data(learned, held, names, form, root)
    parts = hold_out(learned.labels, names, FIFTH if test is None else test, "table")
    kept, held = (Texts([learned.texts[i] for i in p], [learned.labels[i] for i in p]) for p in parts)
    return text_data(kept, held, names, form, root)


def _found(root: Path, setting: str, name: str) -> Path:
    """A file by its path or by its name in a folder; a FileNotFoundError that says where it was looked for."""
    tries = [root / f"{name}{suffix}" for suffix in ("", *SUFFIXES)] + [Path(name)]
    if found := next((path for path in tries if path.is_file()), None):
        return found
    there = sorted(p.name for p in root.iterdir() if p.suffix.lower() in SUFFIXES) if root.is_dir() else []
    hint = f"{root} holds {', '.join(there[:5])}" if there else f"{root} holds no file of {', '.join(SUFFIXES)}"
    raise FileNotFoundError(
        f"table: {setting}={name}: no such file; {hint}: name it ({setting}=FILE), or its folder (--data-root FOLDER)"
    )


def _test_file(root: Path, train: Path, test: str | float | None) -> Path | None:
    """Where the test part is; None where it has yet to be drawn."""
    if isinstance(test, str):
        return _found(root, "test", test)
    beside = [train.with_name(f"test{suffix}") for suffix in SUFFIXES]
    return next((path for path in beside if path.is_file()), None) if test is None and train.stem == "train" else None


def _known(row: Row, names: Sequence[str]) -> Row:
    """A row of the test part, wrong where its label is none of those to learn from."""
    if row.wrong or row.label in names:
        return row
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return Row(row.line, wrong=f"label {row.label!r} is not one to learn from ({some})", last=row.last)


def _numbered(rows: Sequence[Row], names: Sequence[str]) -> Texts:
    """Texts with the numbers of their labels."""
    place = {name: number for number, name in enumerate(names)}
    return Texts([row.text for row in rows], [place[row.label] for row in rows])
