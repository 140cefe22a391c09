"""Where something is computed."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

NAMES = r"auto|(cpu|cuda|mps|xpu)(:\d+)?"


def check_device(name: str) -> str:
    """The name of a device, or a ValueError for what is none."""
    if not re.fullmatch(NAMES, name):
        raise ValueError(f"device={name!r} is not there: give auto, cpu, cuda, cuda:N or mps (a graphics card is cuda)")
    return name


def device_named(name: str) -> "torch.device":
    """The device of a name: ``cpu``, ``cuda:1``; ``auto`` is the GPU where there is one.

    Raises:
        ValueError: no such name, or that device is not there.
    """
    import torch  # late: settings are checked without it

    check_device(name)
    there = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(there if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={name!r} is not there ({str(error).splitlines()[0]}): set device=cpu") from None
    return device
