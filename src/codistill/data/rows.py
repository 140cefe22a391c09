"""Rows of a text and a label, one by one, from CSV, TSV and Parquet; what is wrong with one is said, not raised."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from codistill.checks import flag
from codistill.data.separated import Fields, Separated, shortened, undecoded
from codistill.spec import UnknownName

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
PARQUET = ".parquet"
SUFFIXES = (*SEPARATORS, PARQUET)
TAB = "tab"  # how it is written in a spec
OTHERS = (";", "\t", "|", ",")  # what else separates fields, where the suffix misleads


@dataclass(frozen=True)
class Row:
    """A text and its label as they are written; `wrong` says why they cannot be used."""

    line: int  # where it begins; in Parquet, which row
    text: str = ""
    label: str = ""
    wrong: str = ""
    last: int = 0  # the line where it ends, if that is another

    @property
    def place(self) -> str:
        """Its line, or its lines, as a message names them."""
        return f"lines {self.line}-{self.last}" if self.last > self.line else f"line {self.line}"


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
    separator: str | None = None  # a character, or tab; None: as the suffix says

    def __post_init__(self) -> None:
        flag("table: quotes", self.quotes)
        if self.separator is not None and self.separator != TAB and (len(self.separator) != 1 or self.separator == '"'):
            raise ValueError(f"table: separator={self.separator}: give one character, such as ';', or {TAB}")
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
        separator = SEPARATORS.get(suffix, "") if self.separator is None else self.separator.replace(TAB, "\t")
        return self._parquet(path) if suffix == PARQUET else self._separated(path, separator)

    def _separated(self, path: Path, separator: str) -> Iterator[Row]:
        found = Separated(separator, self.encoding, self.quotes).rows(path)
        first = next(found, Fields(1, 1))
        if first.wrong:
            raise ValueError(f"{path}, line 1: {first.wrong}: repair the names of the columns")
        head = first.fields
        if undecoded("".join(head)) and not {self.text, self.label} <= set(head):
            raise ValueError(f"{path}, line 1: {self._undecoded()}")
        if len(head) == 1 and (other := next((s for s in OTHERS if s in head[0]), None)):
            said = {"\t": TAB}.get(other, other)
            raise ValueError(f"{path}, line 1: one column, {shortened(head[0])!r}: set separator={said}")
        text, label = (_place(path, name, head) for name in (self.text, self.label))
        for row in found:
            line, fields = row.line, row.fields
            if row.wrong:
                yield Row(line, wrong=f"{row.wrong} (a quote in the middle of a field? then set quotes=false)")
            elif len(fields) != len(head) and fields:
                strange = undecoded("".join(fields))
                wrong = self._undecoded() if strange else f"{len(fields)} fields for {len(head)} columns"
                yield Row(line, wrong=wrong, last=row.last)
            elif fields:
                yield self._row(line, fields[text], fields[label], row.last)

    def _undecoded(self) -> str:
        """What is said of bytes that are none of the encoding."""
        return f"not {self.encoding}: set encoding (cp949, latin-1, ...)"

    def _row(self, line: int, text: object, label: object, last: int = 0) -> Row:
        """A row of what stands in the two columns; wrong where that is no text, or no label."""
        if not isinstance(text, str):
            return Row(line, wrong=f"column {self.text!r} holds {text!r}, no text", last=last)
        if label is None or not str(label).strip() or label != label:
            return Row(line, wrong=f"column {self.label!r} is empty", last=last)
        if undecoded(text + str(label)):
            return Row(line, wrong=self._undecoded(), last=last)
        whole = isinstance(label, float) and label.is_integer()
        return Row(line, text, str(int(label) if whole and isinstance(label, float) else label).strip(), last=last)

    def _parquet(self, path: Path) -> Iterator[Row]:
        """The rows of a Parquet file."""
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


def usable(name: str, path: Path, rows: Sequence[Row], skip_bad: bool, repair: str = "repair it") -> list[Row]:
    """The rows that can be used; an error for the first that cannot, or a warning that counts them.

    Raises:
        ValueError: a row that cannot be used and `skip_bad` is off, or none that can; names the file and the line.
    """
    bad = [row for row in rows if row.wrong]
    if bad and not skip_bad:
        raise ValueError(f"{path}, {bad[0].place}: {bad[0].wrong}; {repair}, or set skip_bad=true")
    if bad:
        some = "; ".join(f"{row.place}: {row.wrong}" for row in bad[:3]) + ("; ..." if len(bad) > 3 else "")
        lines = sum(max(row.last - row.line, 0) + 1 for row in bad)
        count = f"{len(bad)} of {len(rows)} rows" + (f" ({lines} lines)" if lines > len(bad) else "")
        warnings.warn(f"{name}: {count} of {path} are left out: {some}", stacklevel=3)
    if len(bad) == len(rows):
        raise ValueError(f"{path}: no row below the names of its columns can be used: {repair}")
    return [row for row in rows if not row.wrong]


def _place(path: Path, name: str, head: Sequence[str]) -> int:
    """Which column has a name; an error where it is none or several."""
    if list(head).count(name) > 1:
        raise ValueError(f"{path}: {head.count(name)} columns are called {name!r}: rename all but one")
    if name not in head:
        raise UnknownName(f"column of {path}", name, [shortened(name) for name in head] or ["(none: it is empty)"])
    return list(head).index(name)
