"""Recipes: functions that return a `Study`, one file per paper table or data set; the folder is the list."""

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from codistill import discovery
from codistill.run import Run
from codistill.spec import Spec, WrongKind
from codistill.study import Row, Study

NEEDS_GPU = "A full run needs a GPU; --quick shows in a minute that it works here."


def get(spec: str | Spec) -> Study:
    """A recipe from its spec; ``module:function`` and ``FILE.py:function`` are the user's own.

    Of a file that has one recipe in its ``__all__``, ``FILE.py`` will do.

    Raises:
        FileNotFoundError: no such file.
        UnknownName: no such recipe or option, with the nearest that exist.
        WrongKind: the user's own returns no study.
    """
    study = discovery.construct(__name__, _of_file(Spec.of(spec)))
    if not isinstance(study, Study):
        raise WrongKind(f"recipe '{spec}' returned a {type(study).__name__}, not a Study")
    return study


def _of_file(spec: Spec) -> Spec:
    """The spec of a function in a file, which is imported under the file's name; any other spec as it is."""
    path = Path(spec.name)
    if path.suffix != ".py":
        return spec
    if not path.is_file():
        raise FileNotFoundError(f"recipe '{spec}': there is no file {path}")
    name = "_recipe_" + re.sub(r"\W", "_", path.stem)  # never that of a recipe of ours, or of a library
    source = importlib.util.spec_from_file_location(name, path)
    assert source is not None
    assert source.loader is not None
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    if not spec.args:
        names = list(getattr(module, "__all__", ()))
        if len(names) != 1:
            there = " or ".join(f"{path}:{each}" for each in names) or f"{path}:FUNCTION"
            raise ValueError(f"recipe '{spec}': say which of its recipes: {there}")
        spec = Spec(spec.name, tuple(names), spec.options)
    sys.modules[name] = module
    return Spec(name, spec.args, spec.options)


def on_cifar(data: str, model: str, **settings: object) -> Run:
    """SGD on CIFAR as most papers have it; the schedule and the rest are those of a recipe."""
    run = Run(data=data, models=(model,), augment=("crop:pad=4", "flip"), epochs=200, checkpoint_every=10)
    return run.replace(**settings)


def on_gpu(recipe: str, base: Run, rows: Sequence[Row], *notes: str, published: Sequence[str] = ()) -> Study:
    """A study of networks that need a GPU, one run after the other; its three seeds are ours."""
    return Study(recipe, base, tuple(rows), (0, 1, 2), False, (NEEDS_GPU, *notes), published=tuple(published))
