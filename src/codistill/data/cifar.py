"""CIFAR-10 and CIFAR-100, from the authors' python and binary files."""

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill.data.download import extract, fetch, missing, opened
from codistill.data.examples import DataSet, Examples, check_range

__all__ = ["cifar10", "cifar100"]

SHAPE = (3, 32, 32)
PIXELS = torch.Size(SHAPE).numel()
URL = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class PythonFiles:
    """The python form: a pickled dictionary to a file, the names of the classes in one more."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    key: str  # of the labels
    md5: str  # of the archive

    def examples(self, raw: bytes, where: str) -> tuple[Tensor, Tensor]:
        """Rows ``[N, 3072]`` and labels ``[N]`` of one file."""
        entries = read_pickle(raw, where)
        x, y = _entry(entries, "data", where), _entry(entries, self.key, where)
        if not isinstance(x, Tensor):
            raise ValueError(f"{where}: 'data' is a {type(x).__name__}, not an array of bytes: fetch it again")
        if not isinstance(y, list) or not all(isinstance(label, int) and 0 <= label < 256 for label in y):
            raise ValueError(f"{where}: {self.key!r} is not a list of labels: fetch it again")
        return x, torch.tensor(y, dtype=torch.int64)

    def names(self, raw: bytes, where: str) -> tuple[str, ...]:
        """Names of the classes."""
        key = self.key.removesuffix("s") + "_names"
        names = _entry(read_pickle(raw, where), key, where)
        if not isinstance(names, list):
            raise ValueError(f"{where}: {key!r} is not a list of names: fetch it again")
        return tuple(map(_text, names))


@dataclass(frozen=True)
class BinaryFiles:
    """The binary form: for each image its labels, a byte each, and its pixels; names in a text file."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels: int  # bytes of labels before the pixels
    label: int  # which of them

    def examples(self, raw: bytes, where: str) -> tuple[Tensor, Tensor]:
        """Rows ``[N, 3072]`` and labels ``[N]`` of one file."""
        size = self.labels + PIXELS
        if not raw or len(raw) % size:
            raise ValueError(f"{where}: {len(raw)} bytes are no whole number of records of {size}: fetch it again")
        rows = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, size)
        return rows[:, self.labels :], rows[:, self.label].long()

    def names(self, raw: bytes, where: str) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(raw.decode().split())


Files = PythonFiles | BinaryFiles
Forms = tuple[PythonFiles, BinaryFiles]


def cifar10(root: Path, *, download: bool = False) -> DataSet:
    """60,000 colour photos, 32x32, 10 classes; 50,000 to learn from.

    Reads the python or the binary form, unpacked (``root/cifar-10-batches-py``,
    ``root/cifar-10-batches-bin``, or ``root`` being that folder) or as the archive in ``root``. Nothing in a
    file can run code. Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.

    Raises:
        FileNotFoundError: nothing of that is there and ``download`` is off.
        ValueError: a file is not what it should be; names it.
    """
    batches = tuple(f"data_batch_{number}" for number in range(1, 6))
    forms = (
        PythonFiles(
            folder="cifar-10-batches-py",
            archive="cifar-10-python.tar.gz",
            train=batches,
            test=("test_batch",),
            meta="batches.meta",
            key="labels",
            md5="c58f30108f718f92721af3b95e74349a",
        ),
        BinaryFiles(
            folder="cifar-10-batches-bin",
            archive="cifar-10-binary.tar.gz",
            train=tuple(f"{name}.bin" for name in batches),
            test=("test_batch.bin",),
            meta="batches.meta.txt",
            labels=1,
            label=0,
        ),
    )
    return _load("cifar10", root, download, forms, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def cifar100(root: Path, *, download: bool = False, labels: str = "fine") -> DataSet:
    """60,000 colour photos, 32x32, 100 classes (20 coarse ones); 50,000 to learn from.

    As `cifar10`, from ``cifar-100-python`` or ``cifar-100-binary``; ``labels`` is ``fine`` or ``coarse``.
    """
    kinds = ("coarse", "fine")
    if labels not in kinds:
        raise ValueError(f"cifar100: labels={labels!r}: use {' or '.join(kinds)}")
    forms = (
        PythonFiles(
            folder="cifar-100-python",
            archive="cifar-100-python.tar.gz",
            train=("train",),
            test=("test",),
            meta="meta",
            key=f"{labels}_labels",
            md5="eb9058c3a382ffc7106e4002c42a8d85",
        ),
        BinaryFiles(
            folder="cifar-100-binary",
            archive="cifar-100-binary.tar.gz",
            train=("train.bin",),
            test=("test.bin",),
            meta=f"{labels}_label_names.txt",
            labels=len(kinds),
            label=kinds.index(labels),
        ),
    )
    return _load("cifar100", root, download, forms, (0.5071, 0.4865, 0.4408), (0.2673, 0.2564, 0.2761))


def _load(
    name: str,
    root: Path,
    download: bool,
    forms: Forms,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> DataSet:
    for form in forms:
        if contents := _contents(root, form):
            break
    else:
        if not download:
            raise missing(name, (root / path for form in forms for path in (form.folder, form.archive)))
        form = _download(root, forms[0])
        contents = _contents(root, form)
    where, raw = contents[form.meta]
    names = form.names(raw, where)
    train, test = (_examples(form, contents, files, len(names)) for files in (form.train, form.test))
    return DataSet(train, test, len(names), "classes", mean, std, names)


def _download(root: Path, form: PythonFiles) -> PythonFiles:
    archive = fetch(f"{URL}{form.archive}", root / form.archive, md5=form.md5)
    if not (root / form.folder).exists():
        extract(archive, root)
    return form


def _contents(root: Path, form: Files) -> dict[str, tuple[str, bytes]]:
    """Name -> (where it is, its bytes), from a folder or the archive; empty if the form is not there."""
    files = (*form.train, *form.test, form.meta)
    for folder in (root / form.folder, root):
        if all((folder / name).is_file() for name in files):
            return {name: (str(folder / name), (folder / name).read_bytes()) for name in files}
    archive = root / form.archive
    return _unpacked(archive, form.folder, files) if archive.is_file() else {}


def _unpacked(archive: Path, folder: str, files: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    found = {}
    with opened(archive) as tar:
        for member in tar:
            within, _, name = member.name.removeprefix("./").rpartition("/")
            if within == folder and name in files and (file := tar.extractfile(member)):
                found[name] = (f"{archive}:{member.name}", file.read())
    if lacking := [name for name in files if name not in found]:
        raise ValueError(f"{archive}: lacks {', '.join(lacking)} in {folder}: fetch it again")
    return found


def _examples(form: Files, contents: Mapping[str, tuple[str, bytes]], files: Sequence[str], classes: int) -> Examples:
    xs, ys = [], []
    for name in files:
        where, raw = contents[name]
        x, y = form.examples(raw, where)
        if x.ndim != 2 or x.shape[1] != PIXELS or len(x) != len(y):
            raise ValueError(f"{where}: {len(y)} labels and pixels {list(x.shape)}, not [N, {PIXELS}]: fetch it again")
        check_range(where, y, classes)
        xs.append(x)
        ys.append(y)
    return Examples(torch.cat(xs).view(-1, *SHAPE), torch.cat(ys))


def read_pickle(raw: bytes, where: str) -> dict[str, Any]:
    """The dictionary that an official file holds, its arrays as tensors; runs nothing that a pickle names.

    Raises:
        ValueError: it holds anything but dictionaries, lists, numbers, text and arrays of bytes; names the
            file.
    """
    try:
        entries = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except _Refused as error:
        raise ValueError(f"{where}: refused, it names {error}, and no CIFAR file does: do not trust it") from error
    except Exception as error:  # a damaged pickle can end in any of them
        raise ValueError(f"{where}: not a CIFAR file, or a damaged one ({error}): fetch it again") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{where}: holds a {type(entries).__name__}, not a dictionary: fetch it again")
    return {
        _text(key): _table(value, where) if isinstance(value, _StandIn) else value for key, value in entries.items()
    }


class _Refused(Exception):
    """A pickle names something that an official file does not."""


class _StandIn:
    """Takes the place of a numpy array or dtype while a pickle is read: makes nothing."""

    state: object = None

    def __init__(self, *args: object) -> None:
        self.args = args

    def __setstate__(self, state: object) -> None:
        self.state = state


NAMED = {  # all that an official file names
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_StandIn]:
        if (module, name) not in NAMED:
            raise _Refused(f"{module}.{name}")
        return _StandIn


def _table(array: _StandIn, where: str) -> Tensor:
    """An array of two axes, uint8, from the state that numpy pickles: version, shape, dtype, order, bytes."""
    match array.state:
        case (_, (int(rows), int(columns)), _StandIn(args=(b"u1" | "u1", *_)), column_major, bytes(data)) if (
            rows > 0 and rows * columns == len(data)
        ):
            flat = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            return flat.view(columns, rows).t().contiguous() if column_major else flat.view(rows, columns)
    raise ValueError(f"{where}: holds an array that is not a table of bytes: fetch it again")


def _text(name: object) -> str:
    """Of a name as Python 2 wrote it (bytes) or Python 3."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _entry(entries: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in entries:
        raise ValueError(f"{where}: has no {key!r} (it has {', '.join(entries)}): is it of the other CIFAR?")
    return entries[key]
