"""CIFAR-10 and CIFAR-100, from the authors' python and binary files."""

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill.checks import one_of
from codistill.data.download import extract, fetch, located, members, opened
from codistill.data.examples import DataSet, Examples, check_range
from codistill.files import read_bytes

__all__ = ["cifar10", "cifar100"]

SHAPE = (3, 32, 32)
PIXELS = torch.Size(SHAPE).numel()
URL = "https://www.cs.toronto.edu/~kriz/"
LABELS = ("coarse", "fine")  # of CIFAR-100, in the order of the binary form

# MD5 of the archive and of each file of the python form, as torchvision.datasets publishes them. Those of CIFAR-100
# were confirmed on the official files; those of CIFAR-10 are torchvision's word.
PYTHON10 = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
PYTHON100 = {
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}


Channels = tuple[float, float, float]
Raw = dict[str, bytes]  # the content of files by their paths


@dataclass(frozen=True)
class Form:
    """One of the authors' two forms: a folder of files, or the archive of it."""

    folder: str
    archive: str
    files: Sequence[str]  # those that train, then the test part and the names of the classes
    examples: Callable[[str, bytes], tuple[Tensor, Tensor]]  # rows [N, 3072] and labels [N] of one file
    names: Callable[[str, bytes], Sequence[str]]


def python_form(folder: str, md5: Mapping[str, str], labels: str) -> Form:
    """A pickled dictionary to a file, the labels under the key ``labels``.

    A pickle can run code, so only the official bytes are opened: each file's MD5 is checked first.
    """

    def entries(file: str, raw: bytes) -> Any:
        actual, expected = hashlib.md5(raw, usedforsecurity=False).hexdigest(), md5[Path(file).name]
        if actual != expected:
            raise ValueError(
                f"{file}: its md5 is {actual}, the official file's {expected}: a pickle can run code, so it is not "
                "opened; fetch it again, or use the binary form"
            )
        return pickle.loads(raw, encoding="latin1")

    def examples(file: str, raw: bytes) -> tuple[Tensor, Tensor]:
        batch = entries(file, raw)
        return torch.tensor(batch["data"]), torch.tensor(batch[labels])

    archive, *files = md5
    key = f"{labels.removesuffix('s')}_names"
    return Form(folder, archive, files, examples, lambda file, raw: entries(file, raw)[key])


def binary_form(folder: str, archive: str, files: Sequence[str], labels: int, label: int) -> Form:
    """For each image so many labels, a byte each, and its pixels; the names of the classes in a text file."""
    size = labels + PIXELS

    def examples(file: str, raw: bytes) -> tuple[Tensor, Tensor]:
        if not raw or len(raw) % size:
            raise ValueError(f"{file}: {len(raw)} bytes are not a multiple of {size}, a record's: fetch it again")
        rows = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(-1, size)
        return rows[:, labels:], rows[:, label].long()

    return Form(folder, archive, files, examples, lambda _, raw: raw.decode().split())


def cifar10(root: Path, *, download: bool = False) -> DataSet:
    """60,000 colour photos, 32x32, 10 classes; 50,000 for training.

    Reads the python or the binary form, unpacked (``root/cifar-10-batches-py``,
    ``root/cifar-10-batches-bin``, or ``root`` being that folder) or as the archive in ``root``. Files of the python
    form must be the official ones, so that nothing in them can run code. Source: A. Krizhevsky, Learning Multiple
    Layers of Features from Tiny Images, 2009.

    Raises:
        FileNotFoundError: none of that exists and ``download`` is off.
        ValueError: a file is damaged or not the official one; names it.
    """
    binary = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt")
    forms = (
        python_form("cifar-10-batches-py", PYTHON10, "labels"),
        binary_form("cifar-10-batches-bin", "cifar-10-binary.tar.gz", binary, labels=1, label=0),
    )
    return _load("cifar10", root, download, forms, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def cifar100(root: Path, *, download: bool = False, labels: str = "fine") -> DataSet:
    """60,000 colour photos, 32x32, 100 classes (20 coarse ones); 50,000 for training.

    As `cifar10`, from ``cifar-100-python`` or ``cifar-100-binary``; ``labels`` is ``fine`` or ``coarse``.
    """
    one_of("cifar100: labels", labels, LABELS)
    binary = ("train.bin", "test.bin", f"{labels}_label_names.txt")
    forms = (
        python_form("cifar-100-python", PYTHON100, f"{labels}_labels"),
        binary_form("cifar-100-binary", "cifar-100-binary.tar.gz", binary, labels=2, label=LABELS.index(labels)),
    )
    return _load("cifar100", root, download, forms, (0.5071, 0.4865, 0.4408), (0.2673, 0.2564, 0.2761))


def _load(name: str, root: Path, download: bool, forms: tuple[Form, Form], mean: Channels, std: Channels) -> DataSet:
    if (present := next(_present(root, forms), None)) is None:
        places = [item for form in forms for item in (form.folder, form.archive)]
        located(name, [root], places, (lambda: _download(root, forms[0])) if download else None)
        present = next(_present(root, forms))
    form, contents = present
    *train, test, (meta, raw) = contents.items()
    names = tuple(form.names(meta, raw))
    seen, held = (_examples(form, files, len(names)) for files in (train, [test]))
    return DataSet(seen, held, len(names), "classes", mean, std, names)


def _download(root: Path, form: Form) -> None:
    archive = fetch(f"{URL}{form.archive}", root / form.archive, md5=(PYTHON10 | PYTHON100)[form.archive])
    if not (root / form.folder).exists():
        extract(archive, root)


def _present(root: Path, forms: Iterable[Form]) -> Iterator[tuple[Form, Raw]]:
    """Every form that exists, with its files, from a folder or from the archive."""
    for form in forms:
        for folder in (root / form.folder, root):
            if all((folder / file).is_file() for file in form.files):
                yield form, {str(folder / file): read_bytes(folder / file) for file in form.files}
        if (root / form.archive).is_file():
            yield form, _unpacked(root / form.archive, form)


def _unpacked(archive: Path, form: Form) -> Raw:
    with opened(archive) as tar:
        found = {member.name.removeprefix("./"): member for member in members(tar) if member.isfile()}
        names = [f"{form.folder}/{file}" for file in form.files]
        if lacking := [name for name in names if name not in found]:
            raise ValueError(f"{archive}: lacks {', '.join(lacking)}: fetch it again")
        return {f"{archive}:{name}": tar.extractfile(found[name]).read() for name in names}  # type: ignore[union-attr]


def _examples(form: Form, files: Sequence[tuple[str, bytes]], classes: int) -> Examples:
    xs, ys = zip(*(form.examples(file, raw) for file, raw in files), strict=True)
    for (file, _), y in zip(files, ys, strict=True):
        check_range(file, y, classes)
    return Examples(torch.cat(xs).view(-1, *SHAPE), torch.cat(ys))
