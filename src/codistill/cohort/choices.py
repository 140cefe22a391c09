"""Which executor was the fastest, remembered: in this process, and on disk for the next one."""

import platform
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from codistill import files
from codistill.caching import cache_folder, digest

NAME = "executors.json"
MOST = 1000  # choices in the file
Seconds = dict[str, float]  # that each candidate took

_EXECUTORS: dict[str, tuple[str, Seconds]] = {}
_THREADS: dict[str, tuple[int, Seconds]] = {}


def executor(key: str, find: Callable[[], tuple[str, Seconds]]) -> tuple[str, Seconds]:
    """The fastest executor, found once: by this process, or by one before it that wrote it down.

    It stands in the file ``executors.json`` of the cache's folder; where that cannot be read or written, the next
    process times them again.

    Args:
        key: see `key_of`.
        find: times them.
    """
    if key not in _EXECUTORS:
        kept = _read().get(key)
        if isinstance(kept, dict) and isinstance(kept.get("execute"), str) and isinstance(kept.get("seconds"), dict):
            _EXECUTORS[key] = kept["execute"], kept["seconds"]
        else:
            _EXECUTORS[key] = find()
            _write(key, *_EXECUTORS[key])
    return _EXECUTORS[key]


def threads(key: str, find: Callable[[], tuple[int, Seconds]]) -> tuple[int, Seconds]:
    """The faster number of threads, found once by each process: it depends on what else the machine is doing.

    Args:
        key: see `key_of`.
        find: times them.
    """
    if key not in _THREADS:
        _THREADS[key] = find()
    return _THREADS[key]


def forget() -> None:
    """Forget what this process found; the file stays."""
    _EXECUTORS.clear()
    _THREADS.clear()


def key_of(nets: Sequence[nn.Module], inputs: Any, *how: object) -> str:
    """A short text that differs with the machine, torch and its threads, the networks' layers and shapes, the inputs'
    shapes, and whatever else is given."""
    device = next(nets[0].parameters()).device
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    machine = platform.node(), platform.machine(), torch.__version__, torch.get_num_threads(), device, card
    layers = [(repr(net), [(name, p.shape, p.dtype) for name, p in net.named_parameters()]) for net in nets]
    shapes = [(x.shape, x.dtype) for x in pytree.tree_leaves(inputs)]
    return digest((*machine, layers, shapes, *how))


def _read() -> dict[str, Any]:
    folder = cache_folder()
    with suppress(OSError):
        return {} if folder is None else files.read_if_whole(folder / NAME) or {}
    return {}


def _write(key: str, execute: str, seconds: Seconds) -> None:
    folder = cache_folder()
    if folder is None or not seconds:
        return
    newest = dict([*_read().items()][1 - MOST :])
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / NAME, newest | {key: {"execute": execute, "seconds": seconds}})
