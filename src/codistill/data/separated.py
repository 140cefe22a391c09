"""Lines of CSV and TSV to fields, row by row; what is wrong with one is said, and reading goes on below it."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LONGEST = 2**31 - 1  # characters in a field; the csv module's own limit is 131,072
SHOWN = 80  # characters of what a message quotes
VAIN = 50  # how often the lines of a file are read again on average, because of its quotes, before we give up
HALVES = re.compile("[\ud800-\udfff]")  # of surrogate pairs, which are in no text
MARK = "\udc80"  # in the place of bytes that are none of the encoding
MARKED = "codistill.marked"  # what the codecs call that
WIDE = ("utf-16", "utf-32")  # several bytes to every character


class Fields(NamedTuple):
    """The fields of a row and the lines that it stands on; `wrong` says what is wrong with its quotes."""

    line: int
    last: int
    fields: Sequence[str] = ()
    wrong: str = ""


@dataclass(frozen=True)
class Separated:
    """How a file of separated fields is written."""

    separator: str
    encoding: str = "utf-8"
    quotes: bool = True  # false: a quote is a character like any other
    one_line: bool = False  # every line is a row: no field holds a newline
    repair: str = "set encoding={}"  # what to do where the encoding is {}

    def rows(self, path: Path) -> Iterator[Fields]:
        """The rows of a file, the first line's among them.

        A row whose quotes are wrong is its first line alone, and the next line begins another row. Bytes that are none
        of the encoding become a mark, which `undecoded` finds.

        Raises:
            ValueError: another encoding altogether, or quotes that are wrong all over; names the line.
        """
        lines = io.StringIO(self._decoded(path), newline="").readlines()
        form = csv.excel() if self.quotes else _Plain()
        at = again = 0
        with long_fields():
            while at < len(lines):
                start = at
                places = range(at, at + 1 if self.one_line else len(lines))
                given = map(lines.__getitem__, places)
                reader = csv.reader(given, form, delimiter=self.separator, strict=True)
                try:
                    for fields in reader:
                        yield Fields(at + 1, start + reader.line_num, fields)
                        at = start + reader.line_num
                except csv.Error as error:
                    yield Fields(at + 1, at + 1, wrong=self._wrong(error, at + 1, start + reader.line_num))
                    again += start + reader.line_num - at
                    at += 1
                    if again > VAIN * len(lines):
                        raise ValueError(
                            f"{path}, line {at}: here, too, a quote does not end as it should: set quotes=false"
                        ) from error

    def _wrong(self, error: csv.Error, first: int, last: int) -> str:
        """What is wrong with the quotes of a row, and where that was noticed."""
        if "end of data" in str(error):
            return "a quote that does not end on its line" if self.one_line else "a quote that never ends"
        return f"{error}" + (f" on line {last}" if last > first else "")

    def _decoded(self, path: Path) -> str:
        """All of a file, without the mark of its byte order."""
        data = path.read_bytes()
        if (found := _other(data, self.encoding)) is not None:
            raise ValueError(f"{path}, line 1: not {self.encoding}: {self.repair.format(found)}")
        try:
            return data.decode(self.encoding, errors=MARKED).removeprefix("\ufeff")
        except UnicodeError as error:  # of codecs that take no marks
            raise ValueError(f"{path}: not {self.encoding} ({error}): {self.repair.format('utf-8')}") from error


class _Plain(csv.excel):
    """A quote is a character like any other."""

    quoting = csv.QUOTE_NONE


def undecoded(text: str) -> bool:
    """Whether a text holds bytes that were none of the encoding."""
    return not text.isascii() and HALVES.search(text) is not None


def shortened(text: str) -> str:
    """A text for a message: cut where it is long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _other(data: bytes, encoding: str) -> str | None:
    """The encoding that a file is in, where its first line shows that it has several bytes to a character, or not."""
    if codecs.lookup(encoding).name.startswith(WIDE):
        return None if b"\0" in data or not data else "utf-8"
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    first = data.partition(b"\n")[0]
    return None if b"\0" not in first else "utf-16-be" if first.startswith(b"\0") else "utf-16-le"


def _marked(error: UnicodeError) -> tuple[str, int]:
    """A mark for bytes that cannot be decoded, so that they are found in their row."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return MARK, error.end


codecs.register_error(MARKED, _marked)


@contextmanager
def long_fields() -> Iterator[None]:
    """No limit to a field while this lasts, which is for the whole process."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)
