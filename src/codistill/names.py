"""Names and how they are found: a folder is the list of what it holds, nothing is registered.

A *spec* is a name with options, one string: ``dml:weight=2,peers=4``, ``resnet32:shortcut=a``,
``my_package.nets:Small,width=32``.
"""

import ast
import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

Value = int | float | bool | str | None


class UnknownName(ValueError):
    """A name that is not there; the message lists the nearest ones that are."""

    def __init__(self, what: str, name: str, valid: Iterable[str]) -> None:
        valid = sorted(valid)
        near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are: {', '.join(valid)}"
        super().__init__(f"no {what} is called {name!r}: {hint}")


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
        def show(value: Value) -> str:
            return str(value).lower() if value is None or isinstance(value, bool) else str(value)

        items = [show(a) for a in self.args] + [f"{k}={show(v)}" for k, v in self.options.items()]
        return self.name + (":" + ",".join(items) if items else "")


@cache
def _exports(package: str) -> dict[str, str]:
    """Name -> module for what the files of a folder list in ``__all__``; nothing is imported but the package."""
    root = importlib.import_module(package)
    found: dict[str, str] = {}
    for info in pkgutil.iter_modules(root.__path__):
        tree = ast.parse((Path(root.__path__[0]) / f"{info.name}.py").read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found.update(dict.fromkeys(ast.literal_eval(node.value), f"{package}.{info.name}"))
    return found


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def available(package: str) -> list[str]:
    """The names that `find` knows in a folder, as a person types them: ``DMLEnsemble`` is ``dml_ensemble``."""
    return sorted(_typed(name, module) for name, module in _exports(package).items())


def _typed(name: str, module: str) -> str:
    """A class is called by its file's name (one to a file), a function by its own."""
    return module.rpartition(".")[2] if name[0].isupper() else name


def find(package: str, spec: Spec) -> tuple[Any, tuple[Value, ...]]:
    """The object that a spec names, and its positional arguments.

    ``find("codistill.models", Spec.parse("resnet32"))`` looks in the folder; a spec whose name is not there and
    that has a positional argument names the user's own: ``module:Name``.

    Raises:
        UnknownName: with the nearest valid names.
        ImportError: the user's own module cannot be imported.
    """
    what = package.rpartition(".")[2].removesuffix("s")
    exports = _exports(package)
    for name, module in exports.items():
        if _plain(_typed(name, module)) == _plain(spec.name):
            return getattr(importlib.import_module(module), name), spec.args
    if spec.args and isinstance(spec.args[0], str):
        try:
            module_object = importlib.import_module(spec.name)
        except ModuleNotFoundError as error:
            if error.name != spec.name.partition(".")[0] and error.name != spec.name:
                raise
            raise UnknownName(what, spec.name, (_typed(n, m) for n, m in exports.items())) from None
        if not hasattr(module_object, spec.args[0]):
            raise UnknownName(f"{what} in module {spec.name}", spec.args[0], vars(module_object))
        return getattr(module_object, spec.args[0]), spec.args[1:]
    raise UnknownName(what, spec.name, (_typed(n, m) for n, m in exports.items()))
