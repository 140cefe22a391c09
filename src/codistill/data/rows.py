"""Rows of a text and a label, one by one, from CSV, TSV and Parquet; what is wrong with one is said, not raised."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from codistill.names import UnknownName

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
PARQUET = ".parquet"
SUFFIXES = (*SEPARATORS, PARQUET)
LONGEST = 2**31 - 1  # characters in a field; the csv module's own limit is 131,072


@dataclass(frozen=True)
class Row:
    """A text and its label as they are written; `wrong` says why they cannot be used."""

    line: int  # where it begins; in Parquet, which row
    text: str = ""
    label: str = ""
    wrong: str = ""


@dataclass(frozen=True)
class Columns:
    """Which columns are read, and how.

    Raises:
        ValueError: on construction, for an option that cannot be.
    """

    text: str
    label: str
    encoding: str
    quotes: bool

    def __post_init__(self) -> None:
        if not isinstance(self.quotes, bool):
            raise ValueError(f"table: quotes={self.quotes!r}: use true or false")
        if self.text == self.label:
            raise ValueError(f"table: text={self.text} and label={self.label} are one column: name two")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(f"table: encoding={self.encoding}: no such encoding; try utf-8 or cp949") from error

    def rows(self, path: Path) -> Iterator[Row]:
        """The rows of a file, one after the other.

        Raises:
            UnknownName: it has no such column, with the nearest that it has.
            ValueError: a suffix, or a file as a whole, that cannot be read.
            ImportError: Parquet, and pyarrow is not installed.
        """
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"{path}: suffix {suffix!r}: give a file of {', '.join(SUFFIXES)}")
        return self._parquet(path) if suffix == PARQUET else self._separated(path, SEPARATORS[suffix])

    def _separated(self, path: Path, separator: str) -> Iterator[Row]:
        with _long_fields():
            lines = io.StringIO(self._decoded(path), newline="")
            none: Any = csv.QUOTE_NONE
            reader = csv.reader(lines, delimiter=separator, strict=True, **({} if self.quotes else {"quoting": none}))
            head = _next(reader, path) or []
            if isinstance(head, str):
                raise ValueError(f"{path}, line 1: {head}: repair the names of the columns")
            text, label = (_place(path, name, head) for name in (self.text, self.label))
            line = reader.line_num + 1
            while (fields := _next(reader, path)) is not None:
                if isinstance(fields, str):
                    yield Row(line, wrong=fields)
                elif len(fields) != len(head) and fields:
                    yield Row(line, wrong=f"{len(fields)} fields for {len(head)} columns")
                elif fields:
                    yield self._row(line, fields[text], fields[label])
                line = reader.line_num + 1

    def _decoded(self, path: Path) -> str:
        """All of a file; a byte that is none of the encoding stays as half a surrogate pair, to be found in its row."""
        encoding = "utf-8-sig" if self.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else self.encoding
        try:
            return path.read_bytes().decode(encoding, errors="surrogateescape")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not {self.encoding} ({error}): set encoding, or save it as utf-8") from error

    def _row(self, line: int, text: object, label: object) -> Row:
        if not isinstance(text, str):
            return Row(line, wrong=f"column {self.text!r} holds {text!r}, no text")
        if label is None or not str(label).strip() or label != label:
            return Row(line, wrong=f"column {self.label!r} is empty")
        if not (text + str(label)).isascii() and any("\ud800" <= c <= "\udfff" for c in text + str(label)):
            return Row(line, wrong=f"not {self.encoding}: set encoding (cp949, latin-1, ...)")
        whole = isinstance(label, float) and label.is_integer()
        return Row(line, text, str(int(label) if whole and isinstance(label, float) else label).strip())

    def _parquet(self, path: Path) -> Iterator[Row]:
        try:
            arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        except ImportError as error:
            raise ImportError("Parquet needs pyarrow: pip install 'codistill[text]'") from error
        try:
            file = parquet.ParquetFile(path)
            for name in (self.text, self.label):
                _place(path, name, file.schema_arrow.names)
            found = file.read(columns=[self.text, self.label])
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(f"{path}: not a Parquet file, or a damaged one ({error})") from error
        pairs = zip(found[self.text].to_pylist(), found[self.label].to_pylist(), strict=True)
        for number, (text, label) in enumerate(pairs, 1):
            yield self._row(number, text, label)


def order(label: str) -> tuple[int, float, str]:
    """What labels are sorted by: numbers by size, then words by letter."""
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def _next(reader: "Iterator[list[str]]", path: Path) -> list[str] | str | None:
    """The fields of the next row; what is wrong with it; None at the end."""
    line = getattr(reader, "line_num", 0) + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        if "end of data" in str(error):  # all that follows would be lost with this row
            raise ValueError(f"{path}, line {line}: a quote that never ends: close it, or set quotes=false") from error
        return f"{error} (a quote in the middle of a field? then set quotes=false)"


def _place(path: Path, name: str, head: Sequence[str]) -> int:
    if list(head).count(name) > 1:
        raise ValueError(f"{path}: {head.count(name)} columns are called {name!r}: rename all but one")
    if name not in head:
        raise UnknownName(f"column of {path}", name, head or ["(none: it is empty)"])
    return list(head).index(name)


@contextmanager
def _long_fields() -> Iterator[None]:
    """No limit to a field while this lasts, which is for the whole process."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)
