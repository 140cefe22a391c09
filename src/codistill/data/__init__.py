"""Data sets, one to a file; `split` and `loader`; rooms for images, text, augmentations and the `datasets` library.

`load` finds a data set by its spec: ``digits``, ``cifar100:labels=coarse``, ``folder:size=64``, or your
own, ``module:function``.
"""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from codistill.data.conversion import from_dataset as from_dataset
from codistill.data.examples import DataSet as DataSet, Examples as Examples
from codistill.discovery import available, construct, find
from codistill.spec import Spec, WrongKind

TABLES = (".csv", ".tsv", ".parquet")
ROOT = "CODISTILL_DATA"  # the environment variable for the default root


def load(spec: str | Spec, root: Path | None = None, download: bool = False) -> DataSet:
    """The data set that a spec names.

    Args:
        spec: ``name[:option=value,...]``, or ``module:function[,option=value,...]`` for your own; a
            function that has parameters ``root`` or ``download`` receives them.
        root: The folder that holds the files, or into which they are downloaded; None: the one that
            the environment variable CODISTILL_DATA names, else ``~/.cache/codistill``.
        download: Fetch the files where they do not exist.

    Raises:
        UnknownName: no such data set or option, with the nearest that exist.
        FileNotFoundError: the files do not exist; says where they were looked for and what to do.
        ValueError: an option's value, or a file, is invalid.
        WrongKind: your own is not a function, or returns something else.
    """
    _check_no_path(Spec.of(spec).name)
    _check_no_path_within(Spec.of(spec))
    where = root or Path(os.environ.get(ROOT) or Path.home() / ".cache" / "codistill")
    asked = (str(spec), where, download)
    if asked in _KEPT:
        return _KEPT[asked]
    _check_returns(spec)
    dataset = construct(__name__, spec, root=where, download=download)
    if not isinstance(dataset, DataSet):
        raise WrongKind(f"data '{spec}' returned a {type(dataset).__name__}: return a codistill.data.DataSet")
    if _KEEPING:
        _KEPT[asked] = dataset
    return dataset


_KEPT: dict[tuple[str, Path, bool], DataSet] = {}
_KEEPING: list[None] = []  # an element for each `read_once` that has not ended


@contextmanager
def read_once() -> Iterator[None]:
    """Until its end, `load` reads each data set once and gives it again to all that ask for the same."""
    _KEEPING.append(None)
    try:
        yield
    finally:
        _KEEPING.pop()
        if not _KEEPING:
            _KEPT.clear()


def _check_no_path(name: str) -> None:
    """A path in the place of a data set's name is answered with how it is written."""
    path = Path(name)
    if os.sep not in name and not path.is_dir() and path.suffix not in TABLES:
        return
    if path.suffix in TABLES:
        fix = f"--data table:train={path.name} --data-root {path.parent}"
    else:
        fix = f"--data folder --data-root {name}"
    raise ValueError(f"data={name!r} is a path, not a data set's name: write {fix}")


def _check_no_path_within(spec: Spec) -> None:
    """A path after the colon, of a set whose files are in ``root``, is answered with how it is written."""
    if spec.name not in available(__name__) or not spec.args or not isinstance(path := spec.args[0], str):
        return
    parameters = inspect.signature(find(__name__, spec)[0]).parameters
    first = next((p for p in parameters.values() if p.name not in ("root", "texts", "download")), None)
    if first is not None and first.annotation is str:
        return  # such as the name of a file
    rest = Spec(spec.name, spec.args[1:], spec.options)
    raise ValueError(f"data='{spec}': the folder is a setting of its own: write --data {rest} --data-root {path}")


def _check_returns(spec: str | Spec) -> None:
    """What is called must be a function, and where it says what it returns, return a data set."""
    make, _ = find(__name__, spec)
    if not callable(make):
        return  # `construct` says what it is
    says = inspect.get_annotations(make).get("return") if inspect.isroutine(make) else make
    if says not in (None, DataSet) and "DataSet" not in str(says):
        raise WrongKind(f"data '{spec}' is no function that returns a codistill.data.DataSet")
