"""Discovery: the folder is the list, and ``module:Name`` is the user's own; one function builds what a spec names."""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from codistill.spec import NEAR, Spec, UnknownName, Value, WrongKind, show_value

_trusted: ContextVar[Collection[str] | None] = ContextVar("trusted", default=None)


class Untrusted(ValueError):
    """A name leads to a module that nobody has said may be imported."""


@contextmanager
def trusting(modules: Collection[str] | None) -> Iterator[None]:
    """Import none of the user's own modules but these; None: any.

    A folder of a stranger may name any module, and importing it runs it.
    """
    before = _trusted.set(modules)
    try:
        yield
    finally:
        _trusted.reset(before)


@cache
def _exports(package: str) -> dict[str, tuple[str, str]]:
    """What a module, or the files of a folder, list in ``__all__``: by the name that is typed, module and attribute.

    A class goes by its file's name (one to a file), a function by its own. It is read from the source: nothing is
    imported.
    """
    place = Path(__file__).parent.joinpath(*package.split(".")[1:])
    if not place.is_dir():
        return {name: (package, name) for name in _listed(place.with_suffix(".py"))}
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(place.glob("*.py")):
        if path.stem != "__init__":
            for name in _listed(path):
                found[path.stem if name[0].isupper() else name] = f"{package}.{path.stem}", name
    return found


def _listed(path: Path) -> list[str]:
    """The names in a file's ``__all__``; none where it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def available(package: str) -> list[str]:
    """The names that `find` knows in a folder or a module, as they are typed: ``DMLEnsemble`` is ``dml_ensemble``."""
    return sorted(_exports(package))


def _kind(package: str) -> str:
    """What a package holds, for messages: ``method``, ``schedule``."""
    return package.rpartition(".")[2].removesuffix("s")


def find(package: str, spec: str | Spec) -> tuple[Any, tuple[Value, ...]]:
    """The object that a spec names, and its positional arguments.

    ``find("codistill.models", "resnet32")`` looks in the folder; a spec whose name is not there and that has a
    positional argument that is a word names the user's own: ``module:Name``.

    Raises:
        UnknownName: with the nearest valid names.
        ImportError: the user's own module cannot be imported.
        Untrusted: it may not be, see `trusting`.
    """
    what, spec = _kind(package), Spec.of(spec)
    valid = _exports(package)
    for name, (module, attribute) in valid.items():
        if _plain(name) == _plain(spec.name):
            return getattr(importlib.import_module(module), attribute), spec.args
    check_name(package, spec)
    word = _word(spec.args[0])
    assert word is not None
    _check_trust(what, spec)
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


def check_name(package: str, spec: str | Spec) -> None:
    """An UnknownName for a spec that names nothing in a folder, nor the user's own; nothing is imported."""
    spec, valid = Spec.of(spec), _exports(package)
    own = spec.args and _word(spec.args[0]) is not None
    if not own and _plain(spec.name) not in map(_plain, valid):
        dotted = re.fullmatch(r"(\w+(?:\.\w+)*)\.(?!py$)(\w+)", spec.name)
        also = [":".join(dotted.groups())] if dotted else ()
        raise UnknownName(_kind(package), spec.name, valid, also=also)


def _check_trust(what: str, spec: Spec) -> None:
    """A module of Python's own holds nothing of ours; of the others only those are imported that are trusted."""
    trusted = _trusted.get()
    if spec.name.partition(".")[0] in sys.stdlib_module_names:
        raise Untrusted(f"{what} '{spec}': {spec.name} is of Python's standard library, which holds no {what}")
    if trusted is not None and spec.name not in trusted:
        raise Untrusted(
            f"{what} '{spec}' is named by a folder, and is not of this package: look at module {spec.name}, and where "
            "you trust it, add --trust (in Python, trust=True)"
        )


def _word(value: Value) -> str | None:
    """A positional argument as a name, also where it reads as something else (``none``, ``true``, ``inf``)."""
    word = value if isinstance(value, str) else show_value(value)
    return word if isinstance(value, str) or word.isidentifier() else None


def construct(package: str, spec: str | Spec, *context: Any, **known: Any) -> Any:
    """Build what a spec names: ``factory(*context, **known, **options)``.

    Positional arguments of the spec are for the parameters in order, those without a default first: ``folder:PATH``.

    Args:
        package: a folder or a module, ``"codistill.models"``.
        spec: name and options, ``resnet32:shortcut=a``, or the user's own, ``module:function,width=3``.
        context: the first arguments of everything in the package.
        known: given to what has parameters of these names, which are then no options.

    Raises:
        UnknownName: no such name or option, with the nearest that exist.
        ValueError: a required option is missing, or a positional argument has no parameter.
        WrongKind: the user's own cannot be called.
    """
    spec = Spec.of(spec)
    factory, args = find(package, spec)
    label = called(spec, args)
    if not callable(factory):
        raise WrongKind(f"{_kind(package)} {label!r} is a {type(factory).__name__}: name a function or a class")
    parameters = inspect.signature(factory).parameters
    known = {name: value for name, value in known.items() if name in parameters}
    free = options_of(factory, len(context), known)
    required = [name for name in free if parameters[name].default is inspect.Parameter.empty]
    named = dict(zip([*required, *(name for name in free if name not in required)], args, strict=False))
    what = f"{_kind(package)} {str(spec)!r}"
    if rest := args[len(free) :]:
        raise ValueError(f"{what}: {rest[0]!r} is one too many (options: {', '.join(free) or 'none'})")
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        check_options(f"{_kind(package)} {label!r}", spec.options, free)
    if twice := named.keys() & spec.options.keys():
        raise ValueError(f"{what}: {min(twice)} is given twice: leave one out")
    named |= spec.options
    joint = "," if ":" in label else ":"
    if lacking := [name for name in required if name not in named]:
        raise ValueError(f"{what} needs {lacking[0]}: write {lacking[0]}=..., or {label}{joint}{lacking[0].upper()}")
    return factory(*context, **known, **named)


def called(spec: Spec, args: Sequence[Value]) -> str:
    """A spec without options, and without the positional arguments that `find` has left."""
    return str(Spec(spec.name, spec.args[: len(spec.args) - len(args)]))


def options_of(factory: Callable[..., Any], context: int = 0, known: Iterable[str] = ()) -> list[str]:
    """The parameters that a spec may set: all but the first, and those that are known."""
    parameters = list(inspect.signature(factory).parameters.values())
    after = parameters[context:] if all(p.kind is not p.VAR_POSITIONAL for p in parameters[:context]) else parameters
    return [p.name for p in after if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in known]


def check_options(what: str, options: Iterable[str], valid: Sequence[str], also: Sequence[str] = ()) -> None:
    """An UnknownName for an option that is not valid; of ``also``, names are offered where they are near."""
    for option in options:
        if option not in valid:
            raise UnknownName(f"option of {what}", option, valid, also=also)
