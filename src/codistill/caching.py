"""Where lies what is slow to find out and can be found out again."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

CACHE = "CODISTILL_CACHE"  # the environment variable for the folder; empty: no cache


def cache_folder() -> Path | None:
    """The folder that CODISTILL_CACHE names, else ``~/.cache/codistill/kept``; None: nothing is to be kept."""
    folder = os.environ.get(CACHE, Path.home() / ".cache" / "codistill" / "kept")
    return Path(folder) if folder else None


def digest(lines: Iterable[object]) -> str:
    """A short text that differs where any line differs."""
    summary = hashlib.blake2b(digest_size=16)
    for line in lines:  # a million of them need not be in memory at once
        summary.update(f"{line}\n".encode(errors="surrogatepass"))
    return summary.hexdigest()
