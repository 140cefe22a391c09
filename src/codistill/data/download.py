"""Files from the network: resumed, checked against their hash, and put in place only when whole."""

import hashlib
import os
import stat
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath

PIECE = 1 << 16  # bytes read at a time
PATIENCE = 30  # seconds without an answer


def fetch(url: str, dest: Path, *, md5: str | None = None, sha256: str | None = None, progress: bool = True) -> Path:
    """Download ``url`` to ``dest``, which is there only once it is whole and its hash is right.

    What arrives is kept in ``dest`` + ``.part``. Where the connection ends early, it is asked for the rest, as long as
    something new arrives each time, and a later call goes on from there too; a server that cannot do that is asked for
    everything again. A file that is there, with the right hash, is not fetched again.

    Args:
        url: Where it is.
        dest: Where it goes; its folder is made.
        md5: Expected hash of the file, in hexadecimal.
        sha256: As `md5`.
        progress: Show a bar on stderr.

    Raises:
        OSError: the file cannot be had, or the connection ended early (call again to go on).
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
                raise OSError(f"{url}: {problem}; run it again to go on from there")
            before = part.stat().st_size
    except (urllib.error.URLError, HTTPException) as error:
        raise OSError(
            f"{url} cannot be fetched ({error}): check the network, or put the file at {dest} yourself"
        ) from error
    wrong = _wrong(part, hashes)
    if wrong:
        part.unlink()
        raise ValueError(f"{url}: {wrong}; what arrived was removed, so fetch it again or from elsewhere")
    return part.replace(dest)


def extract(archive: Path, dest: Path) -> None:
    """Unpack a tar or zip file, all of it or nothing; what it holds cannot land outside ``dest`` or be a device.

    Of a tar file, a leading slash is dropped and a link may lead to a place inside; a zip file may hold neither.

    Raises:
        ValueError: it is neither, it is damaged, or one of its members is unsafe; names the member.
        FileExistsError: something of it is in ``dest`` already; names it.
    """
    dest.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=dest) as fresh:
        if archive.suffix == ".zip":
            _unzip(archive, Path(fresh))
        else:
            with opened(archive) as tar:
                tar.extractall(fresh, filter="data")
        items = sorted(Path(fresh).iterdir())
        check_free(*(dest / item.name for item in items))
        for item in items:
            item.replace(dest / item.name)


def check_free(*places: Path) -> None:
    """See that nothing is where the content of an archive is to go, before any of it is moved there or even fetched.

    Raises:
        FileExistsError: something is; names it.
    """
    for place in places:
        if os.path.lexists(place):
            raise FileExistsError(
                f"{place} is there already, and is not written over: remove it or move it away, and run this again"
            )


def _unzip(archive: Path, dest: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if reason := _unsafe(member):
                    raise ValueError(f"{archive}: unsafe member, not unpacked: {member.filename!r} {reason}")
            file.extractall(dest)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive}: no zip file, or a damaged one ({error}): fetch it again") from error


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    """Why a member must not be unpacked, None where it may."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or (path.parts and path.parts[0].endswith(":")):
        return "is an absolute path"
    if ".." in path.parts:
        return "leads outside"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    return None


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """A tar file to read from; whatever is wrong with it is a ValueError that names it."""
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except tarfile.FilterError as error:
        raise ValueError(f"{archive}: unsafe member, not unpacked: {error}") from error
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{archive}: no tar file, or a damaged one ({error}): fetch it again") from error


def missing(name: str, looked_for: Iterable[Path], *, fetched: bool = True) -> FileNotFoundError:
    """The error of a data set that is not where it was looked for; ``fetched``: it could be."""
    places = "\n".join(f"  {path}" for path in looked_for)
    return FileNotFoundError(
        f"{name} is not there; looked for\n{places}\n"
        "name the folder that holds it (--data-root FOLDER)" + (", or have it fetched (--download)" if fetched else "")
    )


def _wrong(path: Path, hashes: dict[str, str]) -> str | None:
    """What is wrong with a file's hash, None where nothing is."""
    for name, expected in hashes.items():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False)).hexdigest()
        if found != expected:
            return f"its {name} is {found}, not {expected}"
    return None


def _receive(url: str, part: Path, progress: bool) -> str | None:
    """Append to ``part`` what is missing of it; what kept the rest from arriving, if anything did."""
    have = part.stat().st_size if part.exists() else 0
    try:
        response = _ask(url, have)
    except urllib.error.HTTPError as error:
        error.close()
        if not have or error.code != 416:  # 416: nothing follows what we have, so it is whole, or not of this file
            raise
        response, have = _ask(url, 0), 0
    with response:
        resumed = have > 0 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        broken = ""
        with part.open("ab" if resumed else "wb") as file, _bar(part.stem, have, total, progress) as advance:
            try:
                for piece in iter(partial(response.read, PIECE), b""):
                    file.write(piece)
                    advance(len(piece))
            except (ConnectionError, TimeoutError, HTTPException) as error:  # reset, or silent for too long
                broken = f" ({error})"
    size = part.stat().st_size
    if broken or (total is not None and size < total):
        return f"the connection ended after {size} of {total or 'unknown'} bytes{broken}"
    return None


def _ask(url: str, first: int) -> HTTPResponse:
    """The answer to a request for everything from byte ``first`` on; some servers then send the whole."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={first}-"} if first else {})
    response: HTTPResponse = urllib.request.urlopen(request, timeout=PATIENCE)
    return response


@contextmanager
def _bar(name: str, have: int, total: int | None, shown: bool) -> Iterator[Callable[[int], object]]:
    """A progress bar on stderr; gives the function that moves it by so many bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(name, total=total, completed=have)
        yield lambda size: bar.advance(task, size)


def nothing_to_fetch(name: str, download: bool, where: str) -> None:
    """Raise a ValueError where a download is asked for of a set that has no address."""
    if download:
        raise ValueError(f"{name}: download=True, and there is nothing to fetch: turn it off, and {where}")
