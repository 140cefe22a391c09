"""One process at a time in a folder.

The lock is the kernel's (``flock``): a process that has died holds none, also after a reboot. The file ``.lock`` says
who holds it. Where the file system has no such locks, that text decides: a process of this machine that is no longer
there, or of an earlier start of it, holds nothing; of another machine nothing can be known.
"""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"
BOOT = Path("/proc/sys/kernel/random/boot_id")

ORPHANS = 10.0  # seconds in which the workers of a process that was killed end, which have its lock too


class Held(OSError):
    """Another process holds the folder; the message names it."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made where it is missing, and removed again where nothing was put into it.

    Raises:
        Held: another process holds it.
        OSError: the folder cannot be written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    number = _opened(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # a folder that was removed: the lock ends with the file
            (folder / NAME).unlink()
        os.close(number)
        with suppress(OSError):  # it holds something
            for path in made:
                path.rmdir()


def _opened(folder: Path) -> int:
    """The lock's file, held: it may have been another's, and removed, before it was."""
    while True:
        number = os.open(folder / NAME, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _take(folder, number)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(number), (folder / NAME).lstat()):
                    os.ftruncate(number, 0)
                    os.pwrite(number, json.dumps(_self()).encode(), 0)
                    return number
        except BaseException:
            os.close(number)
            raise
        os.close(number)


def holder(folder: Path) -> Mapping[str, Any]:
    """Who holds a folder, by its file: ``pid``, ``host`` and ``boot``; empty where nobody does."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8")[:1000]
        found = json.loads(text) if text.strip() else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _take(folder: Path, number: int) -> None:
    give_up = time.monotonic() + ORPHANS
    while True:
        try:
            if fcntl is None:
                raise OSError(errno.ENOTSUP, "this system has no flock")
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            who = holder(folder)
            if not who or _may_live(who, own=True) or time.monotonic() > give_up:
                break
            time.sleep(0.1)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            if not _may_live(who := holder(folder)):
                return
            break
    name = f"process {who.get('pid', '?')} on {who.get('host', '?')}"
    raise Held(f"{folder} is in use by {name}: wait for it, stop it, or choose another folder")


def _may_live(who: Mapping[str, Any], own: bool = False) -> bool:
    """Whether a holder may still be there, as far as its text says; ``own``: also where it is this process."""
    if not who or (who == _self() and not own):
        return False
    if who.get("host") != socket.gethostname():
        return True
    if who.get("boot") != _boot() or not isinstance(who.get("pid"), int):
        return False
    try:
        os.kill(who["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _self() -> Mapping[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "boot": _boot()}


def _boot() -> str:
    """Which start of the machine this is, where the system says so."""
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


__all__ = ["Held", "holder", "locked"]
