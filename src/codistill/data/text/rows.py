"""Rows of a text and a label from CSV, TSV and Parquet; a bad row is described, not raised."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from codistill.checks import flag
from codistill.data.skipping import left_out
from codistill.files import check_bytes, read_bytes
from codistill.libraries import needed
from codistill.spec import UnknownName

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
PARQUET = ".parquet"
SUFFIXES = (*SEPARATORS, PARQUET)
TAB = "tab"  # how it is written in a spec
OTHERS = (";", "\t", "|", ",")  # separators to propose where the suffix misleads
LONGEST = 2**31 - 1  # characters in a field; the csv module's own limit is 131,072
UNDECODED = re.compile("[\udc80-\udcff]")  # bytes of another encoding
VALUE = 64  # bytes that a value takes at least
SHOWN = 80  # characters of what a message quotes


@dataclass(frozen=True)
class Row:
    """A text and its label as they are written; `fault` says why they cannot be used."""

    lines: str  # where it is: line 3, lines 4-7
    text: str = ""
    label: str = ""
    group: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Columns:
    """Which columns are read, and how.

    A column is given by its name, or by its number from 1, which is all it has in a file without a header. Several
    columns of text are joined by +, and their texts by a space.

    Raises:
        ValueError: on construction, for an invalid option.
    """

    text: str
    label: str
    encoding: str = "utf-8"
    quotes: bool = True  # false: a quote is a character like any other
    separator: str | None = None  # a character, or tab; None: by the suffix
    group: str | None = None  # whose a text is, such as a clinic's
    header: bool = True  # the first line names the columns
    name: str = "table"  # of the data set, for messages

    def __post_init__(self) -> None:
        flag(f"{self.name}: quotes", self.quotes), flag(f"{self.name}: header", self.header)
        if self.separator is not None and self.separator != TAB and (len(self.separator) != 1 or self.separator == '"'):
            raise ValueError(f"{self.name}: separator={self.separator}: give one character, such as ';', or {TAB}")
        if self.label in (self.text, *self.text.split("+")):
            raise ValueError(f"{self.name}: text={self.text} and label={self.label} are one column: name two")
        try:
            "".encode(self.encoding)
        except LookupError as error:
            raise ValueError(f"{self.name}: encoding={self.encoding}: no such encoding; try utf-8 or cp949") from error

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
        separator = SEPARATORS.get(suffix, "") if self.separator is None else self.separator.replace(TAB, "\t")
        return self._parquet(path) if suffix == PARQUET else self._separated(path, separator)

    @property
    def _undecoded(self) -> str:
        return f"not {self.encoding}: set encoding (cp949, latin-1, utf-16, ...)"

    def _separated(self, path: Path, separator: str) -> Iterator[Row]:
        """The rows of a file of separated fields.

        By the standard library's csv in its strict mode: pyarrow's reader accepts ``"a"b`` as ``ab`` and takes lines
        between two stray quotes for one field, which loses rows in silence.
        """
        rows = self._fields(path, separator)
        lines, head, fault = next(rows, ("line 1", [], ""))
        if fault:
            raise ValueError(f"{path}, {lines}: {fault}")
        if len(head) == 1 and (other := next((s for s in OTHERS if s in head[0]), None)):
            hint = {"\t": TAB}.get(other, other)
            raise ValueError(f"{path}, line 1: one column, {head[0][:SHOWN]!r}: set separator={hint}")
        if not self.header:
            rows, head = chain([(lines, head, fault)], rows), [str(place + 1) for place in range(len(head))]
        places = self._places(path, head)
        for lines, fields, fault in rows:
            if fault or len(fields) != len(head):
                yield Row(lines, fault=fault or f"{len(fields)} fields for {len(head)} columns")
            else:
                yield self._row(lines, [fields[place] for place in places])

    def _fields(self, path: Path, separator: str) -> Iterator[tuple[str, list[str], str]]:
        """Where each row is, its fields, and what is wrong with it; empty lines are passed over."""
        try:
            content = read_bytes(path).decode(self.encoding, errors="surrogateescape").removeprefix("\ufeff")
        except UnicodeError as error:  # of codecs without surrogates
            raise ValueError(f"{path}: not {self.encoding} ({error}): set encoding (utf-8, cp949, ...)") from error
        if "\0" in content:
            raise ValueError(f"{path}, line 1: {self._undecoded}")
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, quoting=quoting, strict=True)
        limit = csv.field_size_limit(LONGEST)  # of the whole process
        try:
            yield from self._numbered(reader)
        finally:
            csv.field_size_limit(limit)

    def _numbered(self, reader: Iterator[list[str]]) -> Iterator[tuple[str, list[str], str]]:
        first = 1
        while True:
            try:
                fields, fault = next(reader, None), ""
            except csv.Error as error:
                fields, fault = [], f"{error} (a quote inside a field? then set quotes=false)"
            if fields is None:
                return
            last = reader.line_num  # type: ignore[attr-defined]
            if UNDECODED.search("".join(fields)):
                fault = self._undecoded
            if fields or fault:
                yield (f"lines {first}-{last}" if last > first else f"line {first}"), fields, fault
            first = last + 1

    def _places(self, path: Path, head: Sequence[str]) -> list[int]:
        """The places of the columns: of the texts, of the label, of the group where there is one."""
        texts = [self.text] if self.text in head else self.text.split("+")
        names = [*texts, self.label, *([] if self.group is None else [self.group])]
        return [_column(path, name, head, self.header) for name in names]

    def _row(self, lines: str, values: Sequence[object]) -> Row:
        """A row of the values at its `_places`; with a fault where these are no text, no label, or no group."""
        names = [self.label] if self.group is None else [self.label, self.group]
        texts, found = values[: -len(names)], values[-len(names) :]
        for name, value in zip(names, found, strict=True):
            if value is None or not str(value).strip() or value != value:
                return Row(lines, fault=f"column {name!r} is empty")
        words = [text for text in texts if isinstance(text, str)]
        if len(words) < len(texts):
            wrong = next(text for text in texts if not isinstance(text, str))
            return Row(lines, fault=f"column {self.text!r} holds {wrong!r}, no text")
        label, *group = (label_text(value).strip() for value in found)
        return Row(lines, " ".join(words), label, *group)

    def _parquet(self, path: Path) -> Iterator[Row]:
        """The rows of a Parquet file."""
        arrow, parquet = (needed(module, "text", "Parquet") for module in ("pyarrow", "pyarrow.parquet"))
        try:
            file = parquet.ParquetFile(path)
            about = file.metadata
            sizes = (about.row_group(number).total_byte_size for number in range(about.num_row_groups))
            check_bytes(
                str(path), max(sum(sizes), VALUE * about.num_rows)
            )  # a value that is repeated takes no room there
            names = [file.schema_arrow.names[place] for place in self._places(path, file.schema_arrow.names)]
            table = file.read(columns=list(dict.fromkeys(names)))
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(f"{path}: not a Parquet file, or a damaged one ({error}): write it again") from error
        rows = zip(*(table[name].to_pylist() for name in names), strict=True)
        for number, values in enumerate(rows, 1):
            yield self._row(f"row {number}", values)


def label_text(value: object) -> str:
    """A label as it is written: 1.0 and 1 are one."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def class_numbers(labels: Iterable[str | None], names: Sequence[str]) -> list[int]:
    """Labels as the numbers of the classes, -1 where there is none."""
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(names)}
    return [-1 if label is None else numbers[label] for label in labels]


def sort_key(label: str) -> tuple[int, float, str]:
    """What labels are sorted by: numbers by size, then words by letter."""
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def usable(path: Path, rows: Sequence[Row], skip_bad: bool, fix: str = "repair it") -> list[Row]:
    """The rows that can be used; an error for the first that cannot, or a warning that counts them.

    Raises:
        ValueError: a bad row and `skip_bad` is off, or no good one; names the file and the line.
    """
    faults = [f"{row.lines}: {row.fault}" for row in rows if row.fault]
    left_out(str(path), "rows", len(rows), faults, skip_bad=skip_bad, fix=fix)
    return [row for row in rows if not row.fault]


def _column(path: Path, name: str, head: Sequence[str], header: bool) -> int:
    """The place of the column of a name, or of a number from 1; an error where there is none or several."""
    if list(head).count(name) > 1:
        raise ValueError(f"{path}: {head.count(name)} columns are called {name!r}: rename all but one")
    if name in head:
        return list(head).index(name)
    if name.isdecimal() and 1 <= int(name) <= len(head):
        return int(name) - 1
    hint = "" if header else ", and without a header columns have numbers alone"
    if header and any(field.strip().isdecimal() for field in head):
        hint = ", and if its first line is no header, set header=false and give numbers (label=1,text=2)"
    valid = [field[:SHOWN] for field in head] or ["(none: it is empty)"]
    raise UnknownName(f"column of {path}", name, valid, besides=hint)
