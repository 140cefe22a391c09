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
    """Torch's global generators seeded for one purpose inside (dropout, initial weights), as before afterwards.

    Not by `torch.manual_seed`: for devices that are not in use it formats a stack trace for each, in every step.
    """
    generators = [torch.default_generator, *_generators_of(device)]
    states = [generator.get_state() for generator in generators]
    derived = derive(seed, *purpose)
    for generator in generators:
        generator.manual_seed(derived)
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _generators_of(device: torch.device) -> list[torch.Generator]:
    """The global generators of an accelerator."""
    if device.type == "cuda":
        torch.empty(0, device=device)  # its generator is there once it is in use
        return [torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]]
    return [torch.mps._get_default_mps_generator()] if device.type == "mps" else []
