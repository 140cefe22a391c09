"""Options of a spec, held against the function that they are meant for."""

import inspect
from collections.abc import Callable, Collection
from typing import Any

from codistill.spec import Spec, UnknownName, Value


def bind(
    function: Callable[..., Any], spec: Spec, args: tuple[Value, ...], *, given: Collection[str] = ()
) -> dict[str, Any]:
    """The options of a spec, once it is known that ``function`` takes them.

    Args:
        function: What will be called.
        spec: As the person wrote it.
        args: Its positional arguments that nothing has used: for parameters without a default, in order.
        given: Parameters that are set elsewhere, so not by a spec.

    Raises:
        UnknownName: an option that the function does not have, with the nearest that it has.
        ValueError: a positional argument that no parameter is for, or none where there is one.
    """
    parameters = inspect.signature(function).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    needed = [name for name in needed if name not in given]
    named, args = dict(zip(needed, args, strict=False)), args[len(needed) :]
    options = [parameter.name for parameter in parameters if parameter.name not in given]
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    if args:
        raise ValueError(f"{spec}: {args[0]!r} has no name; write key=value (options: {', '.join(options) or 'none'})")
    for name in spec.options:
        if name not in options and not anything:
            raise UnknownName(f"option of {function.__name__}", name, options or ["(it takes none)"])
        if name in named:
            raise ValueError(f"{spec}: {name} is there twice; write {spec.name}:{name.upper()},key=value")
    named |= spec.options
    if lacking := [name for name in needed if name not in named]:
        raise ValueError(f"{spec}: {lacking[0]} is missing; write {spec.name}:{lacking[0].upper()},key=value")
    return named


def check_flag(name: str, setting: str, value: object) -> None:
    """Raise a ValueError where a setting is neither true nor false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: {setting}={value!r}: use true or false")
