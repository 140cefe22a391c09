"""Data sets, one to a file, and what is done with them: `split`, `augment`, `loader`.

`load` finds a data set by its spec: ``digits``, ``cifar100:labels=coarse``, ``folder:size=64``, or the user's
own, ``module:function``.
"""

import inspect
import os
from pathlib import Path

from codistill.data.examples import DataSet, Examples
from codistill.data.options import bind
from codistill.data.own import from_dataset
from codistill.discovery import find
from codistill.spec import Spec, WrongKind

__all__ = ["DataSet", "Examples", "from_dataset", "load"]

ROOT = "CODISTILL_DATA"  # the environment variable for the usual root


def load(spec: str, root: Path | None = None, download: bool = False) -> DataSet:
    """The data set that a spec names.

    Args:
        spec: ``name[:option=value,...]``, or ``module:function[,option=value,...]`` for the user's own; a
            function that has parameters ``root`` or ``download`` is given them.
        root: The folder that holds the files, or into which they are downloaded; if not given, the one that
            the environment variable CODISTILL_DATA names, else ``~/.cache/codistill``.
        download: Fetch the files where they are not there.

    Raises:
        UnknownName: no such data set or option, with the nearest that there is.
        FileNotFoundError: the files are not there; says where they were looked for and what to do.
        ValueError: an option's value, or a file, is not what it should be.
        WrongKind: the user's is no function, or returns something else.
    """
    parsed = Spec.parse(spec)
    make, args = find(__name__, parsed)
    if not callable(make):
        raise WrongKind(f"{spec} is a {type(make).__name__}: name a function that returns a codistill.data.DataSet")
    settings = {"root": root or usual_root(), "download": download}
    taken = inspect.signature(make).parameters
    made = make(**{k: v for k, v in settings.items() if k in taken}, **bind(make, parsed, args, given=settings))
    if not isinstance(made, DataSet):
        raise WrongKind(f"{spec} returned a {type(made).__name__}: return a codistill.data.DataSet")
    return made


def usual_root() -> Path:
    """Where data sets are kept unless another folder is named."""
    return Path(os.environ.get(ROOT) or Path.home() / ".cache" / "codistill")
