import hashlib
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from codistill.data import cifar as module
from codistill.data.cifar import cifar10, cifar100
from codistill.data.examples import channel_statistics

REAL = os.environ.get("CODISTILL_DATA")
real = pytest.mark.skipif(
    not REAL or not (Path(REAL) / "cifar-100-python").is_dir(),
    reason="CODISTILL_DATA names no folder with cifar-100-python",
)


NAMES10 = [f"thing{i}" for i in range(10)]
FINE, COARSE = [f"fine{i}" for i in range(100)], [f"coarse{i}" for i in range(20)]


class Python2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its str, which is how the official files hold names, labels and pixels."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)  # type: ignore[attr-defined]
        self.memoize(value)  # type: ignore[attr-defined]

    dispatch[bytes] = save_bytes


def official(entries):
    """An entry per key, pickled in the way of Python 2."""
    file = io.BytesIO()
    Python2(file, protocol=2).dump({key.encode(): value for key, value in entries.items()})
    return file.getvalue().replace(b"numpy._core.", b"numpy.core.")


def rows(n, seed):
    return np.random.default_rng(seed).integers(256, size=(n, 3072), dtype=np.uint8)


def python10(seed=0):
    batches = {f"data_batch_{i}": (rows(4, seed + i), [i, 2, 3, 9]) for i in range(1, 6)}
    batches["test_batch"] = (rows(3, seed), [0, 1, 2])
    files = {name: official({"data": x, "labels": y}) for name, (x, y) in batches.items()}
    return batches, files | {"batches.meta": official({"label_names": [n.encode() for n in NAMES10]})}


def binary10(seed=0):
    batches, _ = python10(seed)
    files = {
        f"{name}.bin": b"".join(bytes([label]) + row.tobytes() for row, label in zip(x, y, strict=True))
        for name, (x, y) in batches.items()
    }
    return batches, files | {"batches.meta.txt": ("\n".join(NAMES10) + "\n\n").encode()}


def parts100():
    return {"train": (rows(5, 1), [0, 99, 3, 4, 5], [0, 19, 2, 3, 4]), "test": (rows(2, 2), [7, 8], [1, 2])}


def python100():
    files = {
        name: official({"data": x, "fine_labels": fine, "coarse_labels": coarse})
        for name, (x, fine, coarse) in parts100().items()
    }
    names = {"fine_label_names": FINE, "coarse_label_names": COARSE}
    return files | {"meta": official({key: [n.encode() for n in value] for key, value in names.items()})}


def binary100():
    files = {
        f"{name}.bin": b"".join(bytes([c, f]) + row.tobytes() for row, f, c in zip(*part, strict=True))
        for name, part in parts100().items()
    }
    names = {"fine_label_names.txt": FINE, "coarse_label_names.txt": COARSE}
    return files | {name: "\n".join(values).encode() for name, values in names.items()}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name).write_bytes(raw)


def pack(archive, folder, files):
    with tarfile.open(archive, "w:gz") as tar:
        for name, raw in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))


def planes(x):
    """Images by a loop: red, green and blue plane of 1024 bytes each, row by row."""
    return torch.stack(
        [torch.stack([torch.tensor(row[c * 1024 : (c + 1) * 1024]).view(32, 32) for c in range(3)]) for row in x]
    )


@pytest.fixture(autouse=True)
def _published(request, monkeypatch):
    """The files written here are the official ones."""
    if "real" in request.node.name:
        return
    for name, files in (("PYTHON10", python10()[1]), ("PYTHON100", python100())):
        archive, *_ = getattr(module, name).items()
        md5 = {file: hashlib.md5(raw).hexdigest() for file, raw in files.items()}
        monkeypatch.setattr(module, name, dict([archive]) | md5)


LAYOUTS10 = [
    ("cifar-10-batches-py", "cifar-10-python.tar.gz", python10),
    ("cifar-10-batches-bin", "cifar-10-binary.tar.gz", binary10),
]


@pytest.mark.parametrize(("folder", "archive", "make"), LAYOUTS10)
@pytest.mark.parametrize("place", ["folder", "archive", "itself"])
def test_cifar10_is_read_from_every_official_form(tmp_path, folder, archive, make, place):
    batches, files = make()
    root = tmp_path / folder if place == "itself" else tmp_path
    if place == "archive":
        pack(tmp_path / archive, folder, files)
    else:
        write(tmp_path / folder, files)
    data = cifar10(root)
    train = [batches[f"data_batch_{i}"] for i in range(1, 6)]
    assert torch.equal(data.train.x, planes(np.concatenate([x for x, _ in train])))
    assert data.train.y.tolist() == [label for _, y in train for label in y]
    assert torch.equal(data.test.x, planes(batches["test_batch"][0]))
    assert data.names == tuple(NAMES10)


@pytest.mark.parametrize(
    ("folder", "archive", "make"),
    [
        ("cifar-100-python", "cifar-100-python.tar.gz", python100),
        ("cifar-100-binary", "cifar-100-binary.tar.gz", binary100),
    ],
)
@pytest.mark.parametrize(("labels", "names", "column"), [("fine", FINE, 1), ("coarse", COARSE, 2)])
def test_cifar100_has_fine_and_coarse_labels(tmp_path, folder, archive, make, labels, names, column):
    pack(tmp_path / archive, folder, make())
    data = cifar100(tmp_path, labels=labels)
    for part, name in ((data.train, "train"), (data.test, "test")):
        assert torch.equal(part.x, planes(parts100()[name][0]))
        assert part.y.tolist() == parts100()[name][column]
    assert (data.classes, data.names) == (len(names), tuple(names))


class Hostile:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, eval])
@pytest.mark.parametrize("place", ["folder", "archive"])
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path, function, place):
    target = tmp_path / "made"
    code = str(target) if function is not eval else f"__import__('os').mkdir({str(target)!r})"
    _, files = python10()
    files["data_batch_3"] = pickle.dumps({"data": Hostile(function, code)})
    if place == "folder":
        write(tmp_path / "cifar-10-batches-py", files)
    else:
        pack(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)
    with pytest.raises(ValueError, match=r"data_batch_3: its md5 is .*a pickle can run code, so it is not opened"):
        cifar10(tmp_path)
    assert not target.exists()


def test_every_python_file_is_verified_before_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr("codistill.data.cifar.pickle.loads", lambda *_, **__: pytest.fail("a pickle was opened"))
    _, files = python10()
    write(tmp_path / "cifar-10-batches-py", files | dict.fromkeys(["batches.meta", "test_batch"], b"another"))
    with pytest.raises(ValueError, match=r"batches\.meta: its md5 is .*, the official"):
        cifar10(tmp_path)


def test_the_published_hashes_stay():
    source = Path(module.__file__).read_text()
    assert "16019d7e3df5f24257cddd939b257f8d" in source
    assert "40351d587109b95175f43aff81a1287e" in source


def test_a_binary_file_of_another_length_is_named(tmp_path):
    files = binary10()[1]
    write(tmp_path / "cifar-10-batches-bin", files | {"test_batch.bin": files["test_batch.bin"][:-1]})
    with pytest.raises(ValueError, match=r"test_batch\.bin: 9218 bytes.*3073"):
        cifar10(tmp_path)


def test_an_archive_that_lacks_a_file_is_named(tmp_path):
    files = python10()[1]
    del files["data_batch_4"]
    pack(tmp_path / "cifar-10-python.tar.gz", "cifar-10-batches-py", files)
    with pytest.raises(ValueError, match=r"cifar-10-python\.tar\.gz: lacks cifar-10-batches-py/data_batch_4"):
        cifar10(tmp_path)


def test_missing_files_are_listed_with_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--data-root FOLDER.*--download") as error:
        cifar100(tmp_path)
    for name in ("cifar-100-python", "cifar-100-python.tar.gz", "cifar-100-binary", "cifar-100-binary.tar.gz"):
        assert str(tmp_path / name) in str(error.value)


def test_labels_are_fine_or_coarse(tmp_path):
    with pytest.raises(ValueError, match="labels='rough': give 'coarse' or 'fine'"):
        cifar100(tmp_path, labels="rough")


def test_the_archive_is_fetched_with_its_hash_and_unpacked(tmp_path, monkeypatch):
    asked = []

    def fetched(url, dest, *, md5):
        asked.append((url, md5))
        dest.parent.mkdir()
        pack(dest, "cifar-100-python", python100())
        return dest

    monkeypatch.setattr(module, "fetch", fetched)
    assert len(cifar100(tmp_path / "new", download=True).train) == 5
    assert asked == [(f"{module.URL}cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85")]
    assert (tmp_path / "new" / "cifar-100-python" / "train").is_file()


@real
@pytest.mark.parametrize(("labels", "classes"), [("fine", 100), ("coarse", 20)])
def test_the_real_files_are_balanced_and_have_the_statistics_that_are_written_down(labels, classes):
    data = cifar100(Path(REAL), labels=labels)
    assert (len(data.train), len(data.test), data.classes) == (50_000, 10_000, classes)
    assert data.train.y.bincount().tolist() == [50_000 // classes] * classes
    mean, std = channel_statistics(data.train.x)
    torch.testing.assert_close(torch.tensor(mean + std), torch.tensor(data.mean + data.std), rtol=0, atol=2e-4)
