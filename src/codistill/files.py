"""Files that are whole or not there, and whose damage is seen.

A file is written beside its place, flushed to the disk and renamed: whoever reads it finds what was there before or all
of what is new. A symbolic link in its place is replaced, never followed. JSON carries a checksum of its own (``crc32``,
over the values), so that a byte that has changed since is not taken for a result. What would take all memory is refused
by its size, before it is read.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SEAL = "crc32"
LARGEST = 2**29  # bytes of a text file that is read whole
LONGEST = 2**26  # characters of JSON: its values take some thirty times as many bytes
DEEPEST = 100  # lists in lists
MOST = "CODISTILL_MAX_BYTES"  # the environment variable for what a file may take in memory, or unpack to
UNPACKED = 2**31  # bytes that a packed file may unpack to, unless that says otherwise
DEEP = "nested too deeply"
DRAFT = ".part"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
CONTROL_IN_JSON = re.compile(r"\\u00[01789]|[\x7f-\x9f]")


class Damaged(ValueError):
    """A file is cut short, changed, or not what it should be; the message names it."""


# Writing ------------------------------------------------------------------------------------------------------------


def write(path: Path, text: str | bytes) -> Path:
    """Write a file, whole or not at all.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    with draft(path) as beside, beside.open("wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    return path


@contextlib.contextmanager
def draft(path: Path) -> Iterator[Path]:
    """An empty file beside the one that is to be written, with the mode that the umask gives; it takes its place after.

    Whatever an error leaves of it is removed.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}{DRAFT}")
    beside.unlink(missing_ok=True)  # of a process of the same number that was killed
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        mode = stat.S_IMODE(beside.lstat().st_mode)
        yield beside
        beside.chmod(mode)  # some libraries replace the file by one that only its owner may read
        flush(beside)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            beside.unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk, where the system can do that."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not path.is_dir():  # of folders some file systems cannot
            raise
    finally:
        os.close(number)


def write_json(path: Path, value: Any) -> Path:
    """Write a dict, or a list of them, as JSON with checksums."""
    return write(path, json.dumps(sealed(value), indent=1) + "\n")


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON lines, each with a checksum that also says how many there are."""
    each = (_line(line, f"{number} of {len(lines)}") for number, line in enumerate(lines))
    return write(path, "".join(each))


def append_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add JSON lines to a file that grows; the last is cut short where the process ends in the middle."""
    number = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, 0o666)
    with os.fdopen(number, "a", encoding="utf-8") as file:
        file.write("".join(_line(line) for line in lines))


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes have left beside their files."""
    for path in folder.glob(f".*{DRAFT}"):
        path.unlink(missing_ok=True)


# Reading ------------------------------------------------------------------------------------------------------------


def read_text(path: Path, errors: str = "strict") -> str:
    """The text of a file; ``errors`` is as of `open`.

    Raises:
        Damaged: it is no text, or far too long to be one of ours.
    """
    if not path.is_file() and path.exists():
        raise Damaged(f"{path} is no file: move it away")
    if (size := path.stat().st_size) > LARGEST:
        raise Damaged(f"{path} has {size:,} bytes, and files of this kind at most {LARGEST:,}: it is not read")
    try:
        return path.read_text(encoding="utf-8", errors=errors)
    except UnicodeDecodeError as error:
        raise Damaged(f"{path} is damaged ({error.reason} at byte {error.start})") from None


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        Damaged: it is larger than this machine's memory, or than CODISTILL_MAX_BYTES.
    """
    check_bytes(str(path), path.stat().st_size, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return path.read_bytes()


def check_bytes(what: str, size: int, most: int = UNPACKED) -> None:
    """See that something is not too large to be read, before it is.

    Args:
        what: a file's name, for messages.
        size: what it takes, in bytes.
        most: what it may take, unless CODISTILL_MAX_BYTES says otherwise.

    Raises:
        Damaged: it is too large.
    """
    if size > (most := int(os.environ.get(MOST, most))):
        raise Damaged(f"{what} would take {size:,} bytes, at most {most:,}: where that is meant, set {MOST}={size}")


def read_json(path: Path, kind: type = dict, *, must: str = "") -> Any:
    """The values of a JSON file, of a dict or a list of them, without their checksums.

    Args:
        path: of the file.
        kind: what it holds.
        must: a key that no dict has without a checksum.

    Raises:
        Damaged: it is no JSON, of another kind, or its checksum is of other values.
        FileNotFoundError: it is not there.
    """
    value = parse(text := read_text(path), str(path))
    if not isinstance(value, kind):
        raise Damaged(f"{path} is damaged: it holds a {type(value).__name__}, not a {kind.__name__}")
    if must and isinstance(value, dict) and must in value and SEAL not in value:
        raise Damaged(f"{path} is damaged: its checksum is missing")
    return without_controls(unsealed(value, str(path)), text)


def without_controls(value: Any, text: str | None = None) -> Any:
    """Values without characters that a terminal obeys (but for tabs and ends of lines), in any string in them.

    ``text`` is the JSON that they come from, where that is known: most holds none.
    """
    if text is not None and not CONTROL_IN_JSON.search(text):
        return value
    if isinstance(value, str):
        return CONTROL.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_controls(each) for each in value]
    if isinstance(value, dict):
        return {without_controls(key): without_controls(each) for key, each in value.items()}
    return value


def parse(text: str, where: str) -> Any:
    """Values from JSON; whatever is wrong with it is one line that says where."""
    if len(text) > LONGEST:
        raise Damaged(f"{where} has {len(text):,} characters, and JSON of ours at most {LONGEST:,}: it is not read")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = DEEP if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise Damaged(f"{where} is damaged ({reason})") from None
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        raise Damaged(f"{where} is damaged ({DEEP})")
    return value


def _is_deep(value: Any) -> bool:
    """Whether values lie in so many lists and objects that functions which call themselves would not come to an end."""
    level = [value]
    for _ in range(DEEPEST):
        inside = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for values in inside for each in values]
    return bool(level)


def read_if_whole(path: Path, kind: type = dict) -> Any | None:
    """The values of a JSON file that can be made again; None where it is not there, empty or damaged."""
    try:
        return read_json(path, kind)
    except (Damaged, FileNotFoundError):
        return None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file that `write_lines` wrote; none where there is no file.

    Raises:
        Damaged: names the file and the line.
    """
    if not path.exists():
        return []
    texts = read_text(path).splitlines(keepends=True)
    found = []
    for number, text in enumerate(texts):
        where = f"{path}, line {number + 1},"
        if not text.endswith("\n"):
            raise Damaged(f"{where} is cut short")
        found.append(read_line(text, where, f"{number} of {len(texts)}"))
    if len({SEAL in text for text in texts}) > 1:
        raise Damaged(f"{path} is damaged: not all of its lines have a checksum")
    return found


def read_line(text: str, where: str, among: str = "") -> dict[str, Any]:
    """The object of one line, without its checksum.

    Raises:
        Damaged: it is none, or not that which was written.
    """
    value = parse(text, where)
    if not isinstance(value, dict):
        raise Damaged(f"{where} is damaged: it is no object")
    opened: dict[str, Any] = without_controls(unsealed(value, where, among), text)
    return opened


def said(error: Exception) -> str:
    """What an error says of values that are not as they should be, in a line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text} is missing" if isinstance(error, KeyError) else text


# Checksums ----------------------------------------------------------------------------------------------------------


def sealed(value: Any, among: str = "") -> Any:
    """A dict with its checksum as the last key; a list of dicts with one in each."""
    if isinstance(value, Mapping):
        return {**value, SEAL: _checksum(value, among)}
    return [sealed(each, among) for each in value]


def unsealed(value: Any, where: str, among: str = "") -> Any:
    """The inverse; what earlier versions wrote has no checksum and is taken as it is.

    Raises:
        Damaged: the checksum is of other values.
    """
    if isinstance(value, list):
        return [unsealed(each, where, among) for each in value]
    if not isinstance(value, dict) or SEAL not in value:
        return value
    rest = {key: each for key, each in value.items() if key != SEAL}
    try:
        same = _checksum(rest, among) == value[SEAL]
    except RecursionError:
        same = False
    if not same:
        raise Damaged(f"{where} is damaged: its checksum is of other values (if you changed it, remove its {SEAL!r})")
    return rest


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as ``sha256sum`` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(value: Mapping[str, Any], among: str) -> str:
    return f"{zlib.crc32((json.dumps(value) + among).encode()):08x}"


def _line(line: Mapping[str, Any], among: str = "") -> str:
    return json.dumps(sealed(line, among)) + "\n"
