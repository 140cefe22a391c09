"""Features by submodule name: what comes out of ``"stage2"``, or what goes into ``"stage3.4.relu:input"``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from codistill.spec import UnknownName, WrongKind


def _hook(store: dict[str, Tensor], tap: str, module: nn.Module, inputs: Any, *output: Any) -> None:
    """As a hook before a module (then there is no output), or after it."""
    if not output and not inputs:
        raise ValueError(
            f"feature {tap!r}: this {type(module).__name__} is given its input by keyword; tap what comes out of the "
            "submodule before it"
        )
    if tap in store:
        raise ValueError(f"feature {tap!r}: this submodule runs twice in one forward pass; tap one that runs once")
    value = output[0] if output else inputs
    value = value[0] if isinstance(value, tuple) else value
    if not isinstance(value, Tensor):
        raise WrongKind(f"feature {tap!r} is a {type(value).__name__}, not a tensor; tap a submodule that gives one")
    store[tap] = value.clone()  # an in-place activation may write over it


@contextmanager
def tapped(net: nn.Module, taps: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """A dict that the forward passes inside fill with the features of these names.

    Raises:
        UnknownName: a submodule that the network does not have, with the nearest that it has.
        ValueError: a submodule ran twice, or not at all.
    """
    store: dict[str, Tensor] = {}
    handles = []
    modules = dict(net.named_modules()) if taps else {}
    try:
        for tap in taps:
            name, _, side = tap.partition(":")
            if not name or name not in modules or side not in ("", "input", "output"):
                raise UnknownName(f"submodule of {type(net).__name__}", name, filter(None, modules))
            register = (
                modules[name].register_forward_pre_hook if side == "input" else modules[name].register_forward_hook
            )
            handles.append(register(partial(_hook, store, tap)))
        yield store
    finally:
        for handle in handles:
            handle.remove()
    if missing := [tap for tap in taps if tap not in store]:
        raise ValueError(f"feature {missing[0]!r}: this submodule did not run in the forward pass")


def before_relu(net: nn.Module, name: str) -> str:
    """The tap of what goes into the last ReLU inside a submodule, in the order in which they were defined.

    A name with a side (``stage1.bn:output``) is a tap already and stays.

    Raises:
        UnknownName: a submodule that the network does not have.
        ValueError: it has no ReLU module.
    """
    if ":" in name:
        return name
    modules = dict(net.named_modules())
    if name not in modules:
        raise UnknownName(f"submodule of {type(net).__name__}", name, filter(None, modules))
    found = [inner for inner, module in modules[name].named_modules() if isinstance(module, nn.ReLU | nn.ReLU6)]
    if not found:
        raise ValueError(
            f"feature {name!r}: this {type(modules[name]).__name__} has no ReLU module; name what comes before its "
            "activation, with the side: NAME:output"
        )
    return ".".join(filter(None, (name, found[-1]))) + ":input"
