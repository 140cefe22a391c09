"""Every random draw is a function of (seed, purpose, where in the run): resuming needs no generator state."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, *purpose: int | str) -> int:
    """A 63-bit seed for one purpose, e.g. ``derive(seed, "order", epoch)``; stable over machines and versions."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: int | str) -> torch.Generator:
    """A CPU generator for one purpose: the same numbers whatever device they are used on."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


@contextmanager
def seeded(device: torch.device, seed: int, *purpose: int | str) -> Iterator[None]:
    """Torch's global generators seeded for one purpose inside (dropout, initial weights), as before afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, *purpose))
        yield
