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
    that has a positional argument that is a word names the user's own: ``module:Name``.

    Raises:
        UnknownName: with the nearest valid names.
        ImportError: the user's own module cannot be imported.
    """
    what = package.rpartition(".")[2].removesuffix("s")
    exports = _exports(package)
    for name, module in exports.items():
        if _plain(_typed(name, module)) == _plain(spec.name):
            return getattr(importlib.import_module(module), name), spec.args
    valid = [_typed(n, m) for n, m in exports.items()]
    word = _word(spec.args[0]) if spec.args else None
    if word is None:
        raise UnknownName(what, spec.name, valid)
    try:
        module_object = importlib.import_module(spec.name)
    except ModuleNotFoundError as error:
        if error.name != spec.name.partition(".")[0] and error.name != spec.name:
            raise
        besides = f", and there is no module {spec.name!r} in this folder or on the path either"
        if spec.name.endswith(".py"):
            besides += f" (of a file write {spec.name.removesuffix('.py').replace('/', '.')}:{word})"
        raise UnknownName(what, spec.name, valid, besides=besides, cutoff=NEAR) from None
    if not hasattr(module_object, word):
        raise UnknownName(f"{what} in module {spec.name}", word, vars(module_object))
    return getattr(module_object, word), spec.args[1:]


def _word(value: Value) -> str | None:
    """A positional argument as a name, also where it reads as something else (``none``, ``true``, ``inf``)."""
    word = value if isinstance(value, str) else show_value(value)
    return word if isinstance(value, str) or word.isidentifier() else None
