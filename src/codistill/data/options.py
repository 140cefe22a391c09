"""Options of a spec, held against the function that they are meant for."""

import inspect
from collections.abc import Callable, Collection
from typing import Any

from codistill.names import Spec, UnknownName, Value


def bind(
    function: Callable[..., Any], spec: Spec, args: tuple[Value, ...], *, given: Collection[str] = ()
) -> dict[str, Any]:
    """The options of a spec, once it is known that ``function`` takes them.

    Args:
        function: What will be called.
        spec: As the person wrote it.
        args: Its positional arguments that nothing has used.
        given: Parameters that are set elsewhere, so not by a spec.

    Raises:
        UnknownName: an option that the function does not have, with the nearest that it has.
        ValueError: a positional argument.
    """
    parameters = inspect.signature(function).parameters.values()
    options = [parameter.name for parameter in parameters if parameter.name not in given]
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    if args:
        raise ValueError(f"{spec}: {args[0]!r} has no name; write key=value (options: {', '.join(options) or 'none'})")
    for name in spec.options:
        if name not in options and not anything:
            raise UnknownName(f"option of {function.__name__}", name, options or ["(it takes none)"])
    return dict(spec.options)
