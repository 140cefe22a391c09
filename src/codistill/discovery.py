"""Discovery: the folder is the list, and ``module:Name`` is the user's own."""

import ast
import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from codistill.spec import NEAR, Spec, UnknownName, Value, show_value


@cache
def _exports(package: str) -> dict[str, str]:
    """Name -> module for what the files of a folder list in ``__all__``; nothing is imported but the package."""
    root = importlib.import_module(package)
    found: dict[str, str] = {}
    for info in pkgutil.iter_modules(root.__path__):
        if info.ispkg:
            continue
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
