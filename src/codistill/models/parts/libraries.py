"""What networks of other libraries need: tensors alone, and a trial on an example."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from codistill.libraries import said_by


def made(spec: str, make: Callable[[], nn.Module], without: str = "") -> nn.Module:
    """What a library makes, of tensors alone; its refusals as a ValueError.

    Args:
        spec: what is made, for messages.
        make: makes it.
        without: the option without which nothing is downloaded.

    Raises:
        ValueError: with what the library says.
    """
    try:
        with tensors_alone():
            return make()
    except Exception as error:
        offline = isinstance(error, OSError) and without
        fix = f"; {without} needs no download, and start=FILE takes weights that you have" if offline else ""
        raise ValueError(f"model {spec}: {said_by(error)}{fix}") from error


@contextmanager
def tensors_alone() -> Iterator[None]:
    """Inside, `torch.load` unpickles tensors and nothing that could run code, whatever a library asks it for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def fits(spec: str, net: nn.Module, example: Tensor) -> nn.Module:
    """The network in train mode, if it gives logits for an example; else a ValueError that says what it wants."""
    try:
        with torch.no_grad():
            output = net.eval()(example)
    except Exception as error:
        raise ValueError(
            f"model {spec} does not take examples of shape {tuple(example.shape[1:])}: {said_by(error)}"
        ) from error
    if not isinstance(getattr(output, "logits", output), Tensor):
        raise ValueError(f"model {spec} gives a {type(output).__name__}, not logits: name a classifier")
    return net.train()
