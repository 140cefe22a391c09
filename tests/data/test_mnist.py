import gzip
import hashlib
import os
import struct
from pathlib import Path

import pytest
import torch

from codistill.data import mnist as module
from codistill.data.examples import channel_statistics
from codistill.data.mnist import FILES, MNIST, fashion_mnist, mnist

REAL = os.environ.get("CODISTILL_DATA")
real = pytest.mark.skipif(not REAL, reason="CODISTILL_DATA names no folder with the real files")


def idx(values):
    head = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + bytes(values.flatten().tolist())


def tiny(seed=0):
    """Name -> values of the four files, 12 images to learn from and 5 to test on."""
    source = torch.Generator().manual_seed(seed)
    shapes = [(12, 28, 28), (12,), (5, 28, 28), (5,)]
    return {
        name: torch.randint(10 if len(shape) == 1 else 256, shape, generator=source)
        for name, shape in zip(FILES, shapes, strict=True)
    }


def write(folder, files, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        raw = values if isinstance(values, bytes) else idx(values)
        (folder / f"{name}.gz").write_bytes(gzip.compress(raw)) if packed else (folder / name).write_bytes(raw)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["MNIST/raw", "raw", "."])
def test_the_files_are_read_wherever_they_may_lie(tmp_path, place, packed):
    files = tiny()
    write(tmp_path / place, files, packed)
    data = mnist(tmp_path)
    for part, (images, labels) in ((data.train, FILES[:2]), (data.test, FILES[2:])):
        assert torch.equal(part.x[:, 0], files[images].to(torch.uint8))
        assert torch.equal(part.y, files[labels])
    assert data.names == tuple("0123456789")


def test_fashion_lies_in_a_folder_of_its_own(tmp_path):
    write(tmp_path / "MNIST" / "raw", tiny(1))
    write(tmp_path / "FashionMNIST" / "raw", tiny(2))
    data = fashion_mnist(tmp_path)
    assert torch.equal(data.train.y, tiny(2)[FILES[1]])
    assert data.names[9] == "Ankle boot"


def test_missing_files_are_listed_with_the_way_out(tmp_path):
    write(tmp_path / "raw", dict(list(tiny().items())[:3]))
    with pytest.raises(FileNotFoundError, match="--data-root FOLDER.*--download") as error:
        mnist(tmp_path)
    for place in ("MNIST/raw", "raw", "."):
        assert str(tmp_path / place / FILES[3]) in str(error.value)


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        (FILES[0], idx(tiny()[FILES[1]]), "begins with 00000801, not 00000803 .an idx file of 3 axes"),
        (FILES[1], b"\0\0\x0d\1" + bytes(8), "begins with 00000d01"),
        (FILES[1], b"\0\0\x08\1\0", "begins with 00000801"),
        (FILES[2], idx(tiny()[FILES[2]])[:-1], "holds 3919 values, its header says 3920"),
        (FILES[3], idx(tiny()[FILES[3]]) + b"x", "holds more values, its header says 5"),
        (FILES[1], idx(torch.arange(9)), "train-images.* holds 12 images and train-labels.* 9 labels"),
        (FILES[3], idx(torch.tensor([0, 1, 2, 10, 11])), "holds 10: labels go from 0 to 9.*example 3, counted from 0"),
        (FILES[0], idx(torch.zeros(0, 28, 28)), r"holds images \[0, 28, 28\], not \[N, 28, 28\]"),
        (FILES[2], idx(torch.zeros(5, 20, 20, dtype=torch.int64)), r"holds images \[5, 20, 20\], not \[N, 28, 28\]"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(tmp_path, name, raw, said):
    write(tmp_path, tiny() | {name: raw})
    with pytest.raises(ValueError, match=rf"{name}.*{said}|{said}") as error:
        mnist(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("damage", [lambda raw: raw[:40], lambda raw: b"no gzip", lambda raw: raw[:30] + b"\xff" * 30])
def test_a_damaged_packed_file_is_named(tmp_path, damage):
    write(tmp_path, tiny())
    path = tmp_path / f"{FILES[0]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{FILES[0]}.gz: damaged"):
        mnist(tmp_path)


def test_missing_files_are_fetched_with_their_hashes(tmp_path, monkeypatch):
    asked = {}

    def fetched(url, dest, *, md5):
        asked[url] = md5
        name = dest.name.removesuffix(".gz")
        write(dest.parent, {name: tiny()[name]})
        return dest

    monkeypatch.setattr(module, "fetch", fetched)
    data = mnist(tmp_path, download=True)
    assert len(data.train) == 12
    assert asked == {f"{MNIST.url}{name}.gz": md5 for name, md5 in zip(FILES, MNIST.md5, strict=True)}
    monkeypatch.setattr(module, "fetch", None)
    assert len(mnist(tmp_path, download=True).test) == 5


@real
def test_the_real_files_have_the_hashes_and_statistics_that_are_written_down():
    folder = Path(REAL) / "MNIST" / "raw"
    for name, md5 in zip(FILES, MNIST.md5, strict=True):
        assert hashlib.md5((folder / f"{name}.gz").read_bytes()).hexdigest() == md5
    data = mnist(Path(REAL))
    assert (len(data.train), len(data.test)) == (60_000, 10_000)
    assert data.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    (mean,), (std,) = channel_statistics(data.train.x)
    assert (round(mean, 4), round(std, 4)) == (*data.mean, *data.std)
