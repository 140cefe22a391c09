"""Where data sets are, and files from the network: resumed, and put in place only when complete and verified."""

import hashlib
import os
import stat
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from typing import Self

from codistill.files import Damaged, check_bytes

SAID = (  # kinds of members that say something of the next
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
PIECE = 1 << 16  # bytes read at a time
PATIENCE = 30  # seconds without an answer
MEMBERS = 1_000_000  # of an archive; the list of them is kept in memory
TOLD = 2**20  # bytes of a name, or of what else a tar file says of a member, which are read at once


def fetch(url: str, dest: Path, *, md5: str | None = None, sha256: str | None = None, progress: bool = True) -> Path:
    """Download ``url`` to ``dest``, which exists only once it is complete and its hash is right.

    What arrives is stored in ``dest`` + ``.part``. Where the connection ends early, the rest is requested, as long as
    something new arrives each time, and a later call resumes there too; from a server that cannot resume, everything
    is requested again. An existing file with the right hash is not fetched again.

    Args:
        url: Where it is.
        dest: Where it goes; its folder is made.
        md5: Expected hash of the file, in hexadecimal.
        sha256: As `md5`.
        progress: Show a bar on stderr.

    Raises:
        OSError: the file cannot be fetched, or the connection ended early (call again to resume).
        ValueError: the file has another hash than expected; it is removed.
    """
    hashes = {name: value.lower() for name, value in (("md5", md5), ("sha256", sha256)) if value}
    if dest.is_file() and not _wrong(dest, hashes):
        return dest
    part = dest.with_name(f"{dest.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        before = part.stat().st_size if part.exists() else 0
        while problem := _receive(url, part, progress):
            if part.stat().st_size <= before:
                raise OSError(f"{url}: {problem}; run it again to resume")
            before = part.stat().st_size
    except (urllib.error.URLError, HTTPException) as error:
        ways = f"check the network, or put the file at {dest} yourself"
        raise OSError(f"{url} cannot be fetched ({error}): {ways}") from error
    if wrong := _wrong(part, hashes):
        part.unlink()
        raise ValueError(f"{url}: {wrong}; the download was removed: fetch it again or from elsewhere")
    return part.replace(dest)


def extract(archive: Path, dest: Path) -> None:
    """Unpack a tar or zip file, all of it or nothing; its members cannot land outside ``dest`` or be a device.

    The leading slash of a tar file's member is dropped, and a link in it may lead to a target inside. What would
    unpack to more than 2 GiB, or CODISTILL_MAX_BYTES, is refused before that is unpacked.

    Raises:
        ValueError: it is neither, it is damaged, too large, or a member is unsafe; names the member.
        FileExistsError: a member exists in ``dest`` already; names it.
    """
    dest.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest) as fresh:
        if archive.suffix == ".zip":
            _unzip(archive, Path(fresh))
        else:
            with opened(archive) as tar:
                tar.extractall(fresh, list(members(tar)), filter="data")
        items = sorted(Path(fresh).iterdir())
        check_free(*(dest / item.name for item in items))
        for item in items:
            item.replace(dest / item.name)


def check_free(*paths: Path) -> None:
    """See that nothing is in the way of an archive's content, before any of it is moved there or even fetched.

    Raises:
        FileExistsError: something is; names it.
    """
    for path in paths:
        if os.path.lexists(path):
            ways = "remove it or move it away, and run this again"
            raise FileExistsError(f"{path} exists already and is not overwritten: {ways}")


def _unzip(archive: Path, dest: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            check_bytes(str(archive), sum(member.file_size for member in file.infolist()))
            for member in file.infolist():
                path, kind = PureWindowsPath(member.orig_filename), stat.S_IFMT(member.external_attr >> 16)
                if path.anchor or ".." in path.parts or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    what = f"{member.orig_filename!r} is an absolute path, leads outside, or is a link or a device"
                    raise ValueError(f"{archive}: unsafe member, not unpacked: {what}")
            file.extractall(dest)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive}: not a zip file, or a damaged one ({error}): fetch it again") from error


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """A tar file to read from; whatever is wrong with it is a ValueError that names it."""
    try:
        with tarfile.open(archive, tarinfo=_Member) as tar:
            yield tar
    except tarfile.FilterError as error:
        raise ValueError(f"{archive}: unsafe member, not unpacked: {error}") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive}: not a tar file, or a damaged one ({error}): fetch it again") from error


class _Member(tarfile.TarInfo):
    """A member whose own description is not too long to be read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if found.type in SAID and found.size > TOLD:
            raise Damaged(f"a tar file with a name of {found.size:,} bytes, at most {TOLD:,}: it is not unpacked")
        return found


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of a tar file, one after the other, as long as they are not too many or too large.

    Raises:
        Damaged: they are; what would be too large has not been unpacked.
    """
    name, size = os.fsdecode(tar.name or ""), 0
    for count, member in enumerate(tar, 1):
        size += member.size
        check_bytes(f"{name}: {member.name!r} and what comes before it", size)
        if count > MEMBERS:
            raise Damaged(f"{name} holds more than {MEMBERS:,} files: it is not unpacked")
        yield member


def located(
    name: str,
    homes: Sequence[Path],
    needed: Sequence[str],
    fetch: Callable[[], object] | None = None,
    *,
    packed: str = "",
    fetchable: bool = True,
) -> Path:
    """The first folder that holds everything that a data set needs; else the first one, once it has been fetched.

    Args:
        name: Of the data set, for messages.
        homes: Where it may be.
        needed: Files and folders, by their names below a home.
        fetch: Puts them into the first home; None: nothing is fetched.
        packed: A suffix that any of them may have, such as ``.gz``.
        fetchable: Whether the error proposes a download.

    Raises:
        FileNotFoundError: none of the folders holds everything, and nothing is fetched; lists where it was looked for.
    """
    for home in homes:
        if all((home / item).exists() or (packed and (home / f"{item}{packed}").exists()) for item in needed):
            return home
    if fetch is None:
        paths = "\n".join(f"  {home / item}{f'[{packed}]' if packed else ''}" for home in homes for item in needed)
        ways = "name the folder that holds it (--data-root FOLDER)" + ", or fetch it (--download)" * fetchable
        raise FileNotFoundError(f"{name} was not found; looked for\n{paths}\n{ways}")
    fetch()
    return homes[0]


def nothing_to_fetch(name: str, download: bool, what: str) -> None:
    """Raise a ValueError where a download is asked for of a set that has no address."""
    if download:
        ways = f"turn it off, and name {what} (--data-root FOLDER)"
        raise ValueError(f"{name}: download=True, and there is nothing to fetch: {ways}")


def _wrong(path: Path, hashes: dict[str, str]) -> str | None:
    """The mismatch of a file's hash, None where there is none."""
    for name, expected in hashes.items():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False)).hexdigest()
        if found != expected:
            return f"its {name} is {found}, not {expected}"
    return None


def _receive(url: str, part: Path, progress: bool) -> str | None:
    """Append what is missing to ``part``, with a bar on stderr; returns why the rest did not arrive, if so."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        error.close()
        if not have or error.code != 416:  # 416: nothing follows what we have, so it is complete, or not of this file
            raise
        part.unlink()
        return _receive(url, part, progress)
    resumed = have > 0 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    have = have if resumed else 0  # some servers send everything instead
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not progress)
    broken = ""
    with response, part.open("ab" if resumed else "wb") as file, bar:
        task = bar.add_task(part.stem, total=total, completed=have)
        try:
            for piece in iter(partial(response.read, PIECE), b""):
                file.write(piece)
                bar.advance(task, len(piece))
        except (ConnectionError, TimeoutError, HTTPException) as error:  # reset, or silent for too long
            broken = f" ({error})"
    size = part.stat().st_size
    if broken or (total is not None and size < total):
        return f"the connection ended after {size} of {total or 'unknown'} bytes{broken}"
    return None
