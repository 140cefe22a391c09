"""Data sets, one to a file, and what is done with them: `split`, `augment`, `loader`.

`load` finds a data set by its spec: ``digits``, ``cifar100:labels=coarse``, ``folder:size=64``, or the user's
own, ``module:function``.
"""

import os
from pathlib import Path

from codistill.data.examples import DataSet, Examples
from codistill.data.own import from_dataset
from codistill.discovery import construct
from codistill.spec import Spec, WrongKind

__all__ = ["DataSet", "Examples", "from_dataset", "load"]

ROOT = "CODISTILL_DATA"  # the environment variable for the usual root


def load(spec: str | Spec, root: Path | None = None, download: bool = False) -> DataSet:
    """The data set that a spec names.

    Args:
        spec: ``name[:option=value,...]``, or ``module:function[,option=value,...]`` for the user's own; a
            function that has parameters ``root`` or ``download`` is given them.
        root: The folder that holds the files, or into which they are downloaded; if not given, the one that
            the environment variable CODISTILL_DATA names, else ``~/.cache/codistill``.
        download: Fetch the files where they are not there.

    Raises:
        UnknownName: no such data set or option, with the nearest that exist.
        FileNotFoundError: the files are not there; says where they were looked for and what to do.
        ValueError: an invalid value, or a file that cannot be read.
        WrongKind: the user's own is no function, or returns something else.
    """
    dataset = construct(__name__, spec, root=root or usual_root(), download=download)
    if not isinstance(dataset, DataSet):
        raise WrongKind(f"data '{spec}' returned a {type(dataset).__name__}: return a codistill.data.DataSet")
    return dataset


def usual_root() -> Path:
    """Where data sets are kept unless another folder is named."""
    return Path(os.environ.get(ROOT) or Path.home() / ".cache" / "codistill")
