"""Specs: a name with options in one string, ``dml:weight=2``, ``resnet32:shortcut=a``, ``my_nets:Small,width=32``."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

Value = int | float | bool | str | None
# What settings are called elsewhere, and here.
ALIASES = {
    **{"lr": "learning_rate", "wd": "weight_decay", "batch_size": "batch", "bs": "batch"},
    **{"arch": "models", "model": "models", "network": "models", "networks": "models"},
    **{"dataset": "data", "optim": "optimizer", "scheduler": "schedule", "num_epochs": "epochs", "ema": "average"},
    **{"num_train_epochs": "epochs", "per_device_train_batch_size": "batch"},
    **{"num_peers": "peers", "gpu": "device", "amp": "precision"},
}
NEAR = 0.65  # how close a name must be to the first half of ``module:Name`` to be offered in its place


class UnknownName(ValueError):
    """A name that does not exist; the message lists the nearest ones that do.

    Args:
        what: the kind of thing that was looked for.
        name: the name that was given.
        valid: the names that exist.
        besides: what else was looked for and does not exist, as the message is to say it.
        cutoff: how similar a name must be to count as near, 0 to 1.
        also: valid names that are offered if they are near, and never listed.

    What is a setting's name elsewhere (`ALIASES`) is answered with its name here.
    """

    def __init__(
        self,
        what: str,
        name: str,
        valid: Iterable[str],
        *,
        besides: str = "",
        cutoff: float = 0.5,
        also: Iterable[str] = (),
    ) -> None:
        valid = sorted(valid)
        known = [*valid, *also]
        near = difflib.get_close_matches(name, known, n=3, cutoff=cutoff)
        if (here := ALIASES.get(name, "")) in known:
            near = [here]
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are: {', '.join(valid) or 'none'}"
        super().__init__(f"no {what} is called {name!r}{besides + ';' if besides else ':'} {hint}")

    def __reduce__(self) -> tuple[Callable[[str], "UnknownName"], tuple[str]]:
        return _said, (str(self),)  # a message is all that crosses to another process


def _said(message: str) -> UnknownName:
    error = UnknownName.__new__(UnknownName)
    error.args = (message,)
    return error


class WrongKind(TypeError, ValueError):
    """What the user's own name leads to is not what was asked for, such as a function that returns no network."""


def parse_value(text: str) -> Value:
    """``"3"`` -> 3, ``"0.5"`` -> 0.5, ``"true"`` -> True, ``"none"`` -> None, anything else stays text."""
    words: dict[str, Value] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return text


def show_value(value: Value) -> str:
    """A value as a spec writes it: ``true``, ``none``, ``0.5``."""
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


@dataclass(frozen=True, repr=False)
class Spec:
    """A name with positional arguments and options; two are equal whatever the order of their options."""

    name: str
    args: tuple[Value, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    @classmethod
    def of(cls, spec: "str | Spec") -> "Spec":
        """A spec as it is, or the one that a text writes."""
        return spec if isinstance(spec, Spec) else cls.parse(spec)

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

    def replace(self, **options: Any) -> "Spec":
        """This spec with other options."""
        return Spec(self.name, self.args, {**self.options, **options})

    def without(self, *options: str) -> "Spec":
        """This spec without some options."""
        return Spec(self.name, self.args, {k: v for k, v in self.options.items() if k not in options})

    def __str__(self) -> str:
        items = [show_value(a) for a in self.args] + [f"{k}={show_value(v)}" for k, v in self.options.items()]
        return self.name + (":" + ",".join(items) if items else "")

    def __repr__(self) -> str:
        return f"Spec({str(self)!r})"

    def __hash__(self) -> int:
        return hash((self.name, self.args, frozenset(self.options.items())))

    def __reduce__(self) -> tuple[type["Spec"], tuple[Any, ...]]:
        return Spec, (self.name, self.args, dict(self.options))


if TYPE_CHECKING:  # a field of these types holds specs, and takes their text too, which its dataclass converts

    class SpecField:
        def __init__(self, name: str) -> None: ...
        def __get__(self, instance: object, owner: type | None = None) -> Spec: ...
        def __set__(self, instance: object, value: str | Spec) -> None: ...

    class SpecsField:
        def __init__(self, specs: Sequence[Spec] = ()) -> None: ...
        def __get__(self, instance: object, owner: type | None = None) -> tuple[Spec, ...]: ...
        def __set__(self, instance: object, value: Sequence[str | Spec]) -> None: ...

else:
    SpecField, SpecsField = Spec, tuple[Spec, ...]
