"""Names and how they are found: a folder is the list of what it holds, nothing is registered.

A *spec* is a name with options, one string: ``dml:weight=2,peers=4``, ``resnet32:shortcut=a``,
``my_package.nets:Small,width=32``.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Value = int | float | bool | str | None
NEAR = 0.65  # how like a name the first half of ``module:Name`` has to be to be taken for it


class UnknownName(ValueError):
    """A name that is not there; the message lists the nearest ones that are.

    Args:
        what: what was looked for.
        name: how it was called.
        valid: the names that there are.
        besides: what else was looked for and is not there, as the message is to say it.
        cutoff: how like a name has to be to count as near, 0 to 1.
    """

    def __init__(self, what: str, name: str, valid: Iterable[str], *, besides: str = "", cutoff: float = 0.5) -> None:
        valid = sorted(valid)
        near = difflib.get_close_matches(name, valid, n=3, cutoff=cutoff)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are: {', '.join(valid)}"
        super().__init__(f"no {what} is called {name!r}{besides + ';' if besides else ':'} {hint}")


class WrongKind(TypeError, ValueError):
    """What a person's own name leads to is not what was asked for: a function that returns no network, for example."""


def parse_value(text: str) -> Value:
    """``"3"`` -> 3, ``"0.5"`` -> 0.5, ``"true"`` -> True, ``"none"`` -> None, anything else stays text."""
    words: dict[str, Value] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def show_value(value: Value) -> str:
    """A value as a spec writes it: ``true``, ``none``, ``0.5``."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Spec:
    """A name with positional arguments and options."""

    name: str
    args: tuple[Value, ...] = ()
    options: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Read ``name[:positional ...][,key=value ...]``; raises ValueError where that is malformed."""
        name, _, rest = text.strip().partition(":")
        if not name:
            raise ValueError(f"spec {text!r}: the name is missing; write name:key=value,key=value")
        args: list[Value] = []
        options: dict[str, Value] = {}
        for item in filter(None, (part.strip() for part in rest.split(","))):
            key, equals, value = item.partition("=")
            if not equals:
                args.append(parse_value(item))
            elif not key.isidentifier() or key in options:
                raise ValueError(f"spec {text!r}: {item!r} is not a key=value with a key of its own")
            else:
                options[key] = parse_value(value)
        return cls(name, tuple(args), options)

    def __str__(self) -> str:
        items = [show_value(a) for a in self.args] + [f"{k}={show_value(v)}" for k, v in self.options.items()]
        return self.name + (":" + ",".join(items) if items else "")
