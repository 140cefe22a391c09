"""MNIST and Fashion-MNIST, from their original idx files."""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from codistill.data.download import fetch, located
from codistill.data.examples import DataSet, Examples, check_range
from codistill.files import check_bytes

__all__ = ["fashion_mnist", "mnist"]

BYTES = 0x08  # the idx code of unsigned bytes
SIDE = 28  # pixels
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Source:
    """Where the four files of a data set are, their hashes, and the facts about it."""

    name: str
    folder: str
    url: str
    md5: tuple[str, ...]  # of the .gz files, as FILES has them
    mean: float
    std: float
    names: tuple[str, ...]


MNIST = Source(
    name="mnist",
    folder="MNIST",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    md5=(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    mean=0.1307,
    std=0.3081,
    names=tuple("0123456789"),
)
FASHION_MNIST = Source(
    name="fashion_mnist",
    folder="FashionMNIST",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    md5=(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    mean=0.2860,
    std=0.3530,
    names=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def mnist(root: Path, *, download: bool = False) -> DataSet:
    """70,000 grey handwritten digits, 28x28, 10 classes; 60,000 for training.

    Reads the four original idx files, packed (.gz) or not, from ``root/MNIST/raw``, ``root/raw`` or ``root``;
    the mean and standard deviation are those of the training part. Source: Y. LeCun, C. Cortes, C. J. C. Burges.

    Raises:
        FileNotFoundError: they do not exist and ``download`` is off.
        ValueError: a file is damaged or has another form; names it.
    """
    return _load(MNIST, root, download)


def fashion_mnist(root: Path, *, download: bool = False) -> DataSet:
    """70,000 grey images of clothes, 28x28, 10 classes; 60,000 for training.

    As `mnist`, from ``root/FashionMNIST/raw``, ``root/raw`` or ``root``. Source: Xiao et al.,
    arXiv:1708.07747.
    """
    return _load(FASHION_MNIST, root, download)


def read_idx(path: Path, axes: int) -> Tensor:
    """The bytes of an idx file, packed (.gz) or not, as uint8 with so many axes.

    Raises:
        ValueError: a wrong magic number, number of axes or length; names the file.
    """
    magic = bytes((0, 0, BYTES, axes))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(4 + 4 * axes)
            if head[:4] != magic or len(head) < 4 + 4 * axes:
                expected = f"{magic.hex()} (an idx file of {axes} axes)"
                raise ValueError(f"{path}: begins with {head[:4].hex()}, not {expected}: fetch it again")
            shape = struct.unpack(f">{axes}I", head[4:])
            count = math.prod(shape)
            check_bytes(str(path), count)
            body = bytearray(file.read(count + 1))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged ({error}): fetch it again") from error
    if len(body) != count:
        holds = "more" if len(body) > count else f"{len(body)}"
        raise ValueError(f"{path}: holds {holds} values, its header says {count}: fetch it again")
    return torch.frombuffer(body or bytearray(1), dtype=torch.uint8)[:count].view(shape)


def _load(source: Source, root: Path, download: bool) -> DataSet:
    homes = [root / source.folder / "raw", root / "raw", root]

    def download_all() -> None:
        for name, md5 in zip(FILES, source.md5, strict=True):
            fetch(f"{source.url}{name}.gz", homes[0] / f"{name}.gz", md5=md5)

    home = located(source.name, homes, FILES, download_all if download else None, packed=".gz")
    paths = [home / name if (home / name).is_file() else home / f"{name}.gz" for name in FILES]
    classes = len(source.names)
    train, test = (_examples(images, labels, classes) for images, labels in (paths[:2], paths[2:]))
    return DataSet(train, test, classes, "classes", (source.mean,), (source.std,), source.names)


def _examples(images: Path, labels: Path, classes: int) -> Examples:
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if not len(x) or x.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"{images} holds images {list(x.shape)}, not [N, {SIDE}, {SIDE}]: fetch it again")
    if len(x) != len(y):
        raise ValueError(f"{images} holds {len(x)} images and {labels.name} {len(y)} labels: fetch both again")
    check_range(str(labels), y.long(), classes)
    return Examples(x[:, None], y.long())
