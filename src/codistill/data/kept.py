"""What is slow to make is kept on disk, and made anew where what it was made of has changed."""

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from torch import Tensor

CACHE = "CODISTILL_CACHE"  # the environment variable for the folder; empty: nothing is kept
VERSION = "1"  # of what is kept: raise it where that changes


def kept(
    kind: str,
    root: Path,
    options: Iterable[object],
    *,
    fresh: Callable[[str], bool],
    make: Callable[[], tuple[dict[str, Tensor], str | None]],
) -> dict[str, Tensor]:
    """Tensors that were made before, or are made now and kept.

    They are kept in the folder that CODISTILL_CACHE names, else in ``~/.cache/codistill/kept``: one file for each
    root and each choice of options, replaced when it is stale. Where that cannot be written, nothing is kept.

    Args:
        kind: What they are, for the file's name.
        root: The folder that they are made of.
        options: What they depend on besides.
        fresh: Whether what was noted when they were made still holds.
        make: Makes them, and what is to be noted; None: they are not worth keeping, or not to be trusted.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    path = _place(kind, root, options)
    if path is not None and path.is_file():
        try:
            with safe_open(path, framework="pt") as file:
                note = (file.metadata() or {}).get("note")
                if note is not None and fresh(note):
                    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            pass  # damaged: made anew
    tensors, note = make()
    if path is not None and note is not None:
        draft = path.with_suffix(f".{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: t.contiguous() for name, t in tensors.items()}, draft, metadata={"note": note})
            draft.replace(path)
        except (SafetensorError, OSError):
            with suppress(OSError):
                draft.unlink()
    return tensors


def digest(lines: Iterable[object]) -> str:
    """A short text that differs where any line differs."""
    found = hashlib.blake2b(digest_size=16)
    for number, line in enumerate(lines):  # a million of them need not be in memory at once
        found.update(f"{chr(10) if number else ''}{line}".encode(errors="surrogateescape"))
    return found.hexdigest()


def stamp(path: Path) -> str:
    """A file's name, size and time of its last change: what tells whether it is still the same."""
    try:
        found = path.stat()
    except OSError as error:
        return f"{path} {error.errno}"
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def _place(kind: str, root: Path, options: Iterable[object]) -> Path | None:
    named = os.environ.get(CACHE)
    if named == "":
        return None
    folder = Path(named) if named else Path.home() / ".cache" / "codistill" / "kept"
    return folder / f"{kind}-{digest((VERSION, root.resolve(), *options))}.safetensors"
