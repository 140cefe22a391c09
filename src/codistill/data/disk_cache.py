"""A disk cache of tensors: what is slow to compute is stored, and computed again where its sources have changed."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from codistill.caching import cache_folder, digest

VERSION = "3"  # of the format: raise it where that changes
MANY = 1000  # images from which on they are cached decoded


def cached(
    kind: str,
    root: Path,
    options: Iterable[object],
    *,
    fresh: Callable[[str], bool],
    make: Callable[[], tuple[dict[str, Tensor], str | None]],
) -> dict[str, Tensor]:
    """Tensors from the cache, else computed and stored.

    They lie in the `cache_folder`: one file for each root and each choice of options, replaced when it is stale. Where
    the folder cannot be written, nothing is stored.

    Args:
        kind: Of content, for the file's name.
        root: The folder that the tensors are computed from.
        options: What they depend on besides.
        fresh: Whether the note stored with them still holds.
        make: Computes them and the note; no note: they are not stored.
    """
    from safetensors import SafetensorError, safe_open

    path = _file(kind, root, options)
    if path is not None:
        with (
            suppress(SafetensorError, OSError, ValueError, TypeError),
            safe_open(path, framework="pt") as file,
        ):  # absent or damaged
            note = (file.metadata() or {}).get("note")
            if note is not None and fresh(note):
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors, note = make()
    if path is not None and note is not None:
        _store(path, tensors, note)
    return tensors


def _store(path: Path, tensors: Mapping[str, Tensor], note: str) -> None:
    """Write a file at once, or not at all."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    draft = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: t.contiguous() for name, t in tensors.items()}, draft, metadata={"note": note})
        draft.replace(path)
    except (SafetensorError, OSError):
        with suppress(OSError):
            draft.unlink()


def stamp(path: Path) -> str:
    """A file's name, size and time of last change, which tell whether it is still the same."""
    try:
        status = path.stat()
    except OSError as error:
        return f"{path} {error.errno}"
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _file(kind: str, root: Path, options: Iterable[object]) -> Path | None:
    folder = cache_folder()
    name = f"{kind}-{digest((VERSION, root.resolve(), *options))}.safetensors"
    return None if folder is None else folder / name
