"""Networks, one architecture to a file; the folder is the list.

Logits come out of a submodule ``fc`` in all of ours, so ``fc:input`` taps the last features; the stages before
it are ``stage1``, ``stage2``, ...
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from codistill.discovery import available, find
from codistill.models.parts.trial import place_of, said_by
from codistill.randomness import seeded
from codistill.spec import Spec, Value, WrongKind

__all__ = ["build", "count_parameters"]


def build(
    spec: str, classes: int, shape: tuple[int, ...], seed: int | None = None, known: Mapping[str, Any] | None = None
) -> nn.Module:
    """The network that a spec names, on the CPU.

    Args:
        spec: ``name[:option=value,...]`` (``resnet32:shortcut=a``), or ``module:function[,option=value,...]``
            for the user's own, called as ``function(classes, shape, **options)``.
        classes: the number of logits.
        shape: that of one example, ``(1, 8, 8)``.
        seed: the same seed gives the same weights and leaves torch's generator alone; None draws from it.
        known: what the data knows, `DataSet.known`; given to a model that has parameters of these names.

    Raises:
        UnknownName: no such model, with the nearest that there are.
        ValueError: an option that the model does not have, a value or shape that it refuses, or a bug in the user's
            own, with its file and line.
        WrongKind: the user's is nothing that can be called so, or returns something else.
    """
    parsed = Spec.parse(spec)
    make, args = find(__name__, parsed)
    _check_call(make, spec)
    _check_reads(make, spec, known or {})
    options = {**_asked(make, known or {}), **parsed.options}
    _check_options(make, parsed, args, options)
    with nullcontext() if seed is None else seeded(torch.device("cpu"), seed):
        net = _made(make, spec, classes, shape, *args, **options)
    if not isinstance(net, nn.Module):
        raise WrongKind(f"model {spec!r} is a {type(net).__name__}: return a torch.nn.Module")
    return net


def count_parameters(net: nn.Module) -> int:
    """How many numbers the optimizer may move."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def _asked(make: Callable[..., Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What a model has parameters for, of all that is known."""
    return {name: value for name, value in known.items() if name in inspect.signature(make).parameters}


def _check_call(make: Any, spec: str) -> None:
    """Raise an error where a user's own cannot be called with classes and shape, and say how it is called."""
    name = spec.partition(":")[2].partition(",")[0].strip()
    how = f"{name}(classes, shape, **options)"
    if not callable(make) or isinstance(make, nn.Module):
        kind = "a network that is built already" if isinstance(make, nn.Module) else f"a {type(make).__name__}"
        raise WrongKind(f"model {spec!r} is {kind}: name a function or a class that is called as {how}")
    signature = inspect.signature(make)
    try:
        signature.bind_partial(None, None)
    except TypeError as error:
        raise ValueError(
            f"model {spec!r}: it is called as {how}, and {name} cannot be ({error}): "
            "let it take classes and shape, that of one example, first"
        ) from None


def _made(make: Callable[..., Any], spec: str, *args: Any, **options: Any) -> Any:
    """What a function makes; a bug in a user's own as a ValueError that says where it is."""
    try:
        return make(*args, **options)
    except (ValueError, ImportError, OSError):  # what is wrong in words
        raise
    except Exception as error:
        if make.__module__.startswith(f"{__name__}."):
            raise
        raise ValueError(f"model {spec!r} cannot be built: {said_by(error)}{place_of(error)}") from error


def _check_reads(make: Callable[..., Any], spec: str, known: Mapping[str, Any]) -> None:
    """A ValueError where one of ours is given token ids and asks for no vocabulary: it takes numbers."""

    def reads(model: Callable[..., Any]) -> bool:
        return "vocabulary" in inspect.signature(model).parameters

    if "vocabulary" in known and make.__module__.startswith(f"{__name__}.") and not reads(make):
        readers = [name for name in available(__name__) if reads(find(__name__, Spec(name))[0])]
        raise ValueError(f"model {spec!r} takes images, and these data are token ids: use {' or '.join(readers)}")


def _check_options(make: Callable[..., Any], spec: Spec, args: tuple[Value, ...], options: Mapping[str, Any]) -> None:
    """A ValueError where ``make(classes, shape, *args, **options)`` is no way to call it."""
    signature = inspect.signature(make)
    parameters = list(signature.parameters.values())
    valid = [p.name for p in parameters[2:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    there_are = f"its options: {', '.join(valid) or 'none'}"
    for name, value in spec.options.items():
        if name not in valid and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            near = difflib.get_close_matches(name, [*valid, "start", "start_peer"], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"model {str(spec)!r}: there is no option {name}={value!r}; {hint}{there_are}")
    try:
        signature.bind(None, None, *args, **options)
    except TypeError as error:
        raise ValueError(f"model {str(spec)!r}: {error}; {there_are}") from None
