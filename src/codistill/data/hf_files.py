"""What is wrong with the files of a data set, where the `datasets` library does not say which one it is."""

import csv
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from codistill.data.separated import long_fields

SAYS_NOTHING = "An error occurred while generating the dataset"
SEPARATORS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
UNLIKE = re.compile(r"Failed to parse string: '(.*)' as a scalar of type (\w+)")
LENGTH = 300  # characters of an error that are shown


def reason(error: BaseException) -> str:
    """What a reader itself says is wrong, on one line, below what the library has put around it."""
    cause: BaseException | None = error
    while cause is not None:
        said = " ".join(str(cause).removeprefix(SAYS_NOTHING).split())
        if said:
            return said if len(said) <= LENGTH else f"{said[:LENGTH]} ..."
        error, cause = cause, cause.__cause__
    return type(error).__name__


def fault(folder: Path, said: str) -> str | None:
    """The first file of a folder that cannot be read, with the line where one can be told, and why; None: no such.

    Args:
        folder: Of CSV, TSV, JSON or Parquet.
        said: What the library's reader said.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix.lower() in CHECKS]
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    for path in files:
        try:
            wrong = CHECKS[path.suffix.lower()](path)
        except OSError as error:
            wrong = f": {reason(error)}"
        if wrong is not None:
            return f"{path}{wrong}"
    separated = [path for path in files if path.suffix.lower() in SEPARATORS]
    if strange := UNLIKE.search(said):
        value, kind = strange.groups()
        lines = ((path, line) for path in separated for line, fields in _rows(path) if value in fields)
        return next((f"{path}, line {line}: {value!r} is no {kind}, as other files have" for path, line in lines), None)
    heads = {path: _head(path) for path in separated} if "column" in said else {}
    first = next(iter(heads), None)
    for path, head in heads.items():
        if first is not None and set(head) != set(heads[first]):
            return f"{path}, line 1: columns {', '.join(head)}, where {first.name} has {', '.join(heads[first])}"
    return None


def _separated(path: Path) -> str | None:
    """What is wrong with a CSV or TSV file: its encoding, a row of too many fields, a quote that never ends."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f", line {number}: not utf-8 ({error.reason})"
    width, last = 0, 0
    try:
        for row, (number, fields) in enumerate(_rows(path)):
            if row > 1 and len(fields) > width:  # pandas takes one field more in the second for an index
                return f", line {number}: {len(fields)} fields for {width} columns"
            width = max(width, len(fields))
        if not width:
            return ": it is empty"
        for number, _ in _rows(path, strict=True):
            last = number
    except csv.Error as error:
        if "end of data" in str(error):
            return f", after line {last}: a quote that never ends"
    return None


def _rows(path: Path, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV or TSV file, empty ones passed over, each with the line that it begins on.

    They end where the csv module cannot go on; with `strict` that is an error.
    """
    with path.open(encoding="utf-8-sig", newline="") as lines, long_fields():
        reader, line = csv.reader(lines, delimiter=SEPARATORS[path.suffix.lower()], strict=strict), 1
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1
        except csv.Error:
            if strict:
                raise


def _head(path: Path) -> list[str]:
    """The names of a file's columns."""
    return next((fields for _, fields in _rows(path)), [])


def _json(path: Path) -> str | None:
    """What is wrong with a file of JSON, one value or one to each line."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        return ": it is empty"
    if path.suffix.lower() not in LINES:
        whole = _wrong(text)
        if whole is None or _wrong(lines[0][1]):
            return None if whole is None else f", line {whole.lineno}: {whole.msg}"
    return next((f", line {number}: {wrong.msg}" for number, line in lines if (wrong := _wrong(line))), None)


def _wrong(text: str) -> json.JSONDecodeError | None:
    """What is wrong with a value of JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error
    return None


def _parquet(path: Path) -> str | None:
    """What is wrong with a Parquet file."""
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        for _ in parquet.ParquetFile(path).iter_batches():
            pass
    except (arrow.ArrowException, OSError) as error:
        return f": {reason(error)}"
    return None


CHECKS = {**dict.fromkeys(SEPARATORS, _separated), **dict.fromkeys((".json", *LINES), _json), ".parquet": _parquet}
