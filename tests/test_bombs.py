"""What would take all memory is refused by what it announces; limits are lowered, so that files are small."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of

from codistill import files
from codistill.checkpoint import BrokenCheckpoint, load
from codistill.data import download, mnist
from codistill.data.cifar import cifar10
from codistill.data.mnist import read_idx
from codistill.data.text import vectors
from codistill.training.initial_weights import weights_of

HUGE = 10**6  # bytes that the small bombs unpack to
MANY = "would take 1,000,000 bytes, at most 100,000: where that is meant, set CODISTILL_MAX_BYTES=1000000"


@pytest.fixture(autouse=True)
def lowered(monkeypatch):
    """A limit that small files exceed."""
    monkeypatch.setenv(files.MOST, "100000")


@pytest.fixture
def small():
    """What happens takes less memory than the files would unpack to."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < HUGE


def packed(path: Path, header: tarfile.TarInfo, size: int) -> Path:
    """A packed tar file of one member, of zeros, written a piece at a time."""
    header.size = size
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf())
        for _ in range(size // 1000):
            file.write(bytes(1000))
        file.write(bytes(-size % 512 + 1024))
    return path


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz", "set.tar"])
def test_an_archive_is_refused_before_it_is_unpacked(name, small, tmp_path):
    path = tmp_path / name
    if name == "set.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("zeros", "w") as member:
            for _ in range(1000):
                member.write(bytes(1000))
    elif name == "set.tar":  # no content at all
        header = tarfile.TarInfo("zeros")
        header.size = HUGE
        path.write_bytes(header.tobuf())
    else:
        packed(path, tarfile.TarInfo("zeros"), HUGE)
    with pytest.raises(files.Damaged, match=MANY):
        download.extract(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_many_small_members_count_together(tmp_path, monkeypatch):
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(5):
            header = tarfile.TarInfo(str(number))
            header.size = 30_000
            tar.addfile(header, io.BytesIO(bytes(30_000)))
    with pytest.raises(files.Damaged, match="'3' and what comes before it would take 120,000 bytes"):
        download.extract(path, tmp_path / "out")
    monkeypatch.setattr(download, "MEMBERS", 2)
    with pytest.raises(files.Damaged, match="more than 2 files"):
        download.extract(path, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_name_of_a_gigabyte_is_not_read(kind, small, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TOLD", 1000)
    header = tarfile.TarInfo("name")
    header.type = kind
    packed(tmp_path / "cifar-10-python.tar.gz", header, HUGE)
    with pytest.raises(files.Damaged, match="a name of 1,000,000 bytes, at most 1,000"):
        cifar10(tmp_path)


def test_the_archive_of_a_data_set_is_not_read_into_memory(small, tmp_path):
    packed(tmp_path / "cifar-10-binary.tar.gz", tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin"), HUGE)
    with pytest.raises(files.Damaged, match=MANY):
        cifar10(tmp_path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_file_that_announces_or_holds_too_much(suffix, small, tmp_path):
    path, write = tmp_path / f"images{suffix}", gzip.open if suffix else open
    with write(path, "wb") as file:
        file.write(bytes((0, 0, 8, 3)) + struct.pack(">3I", 100, 100, 100))
    with pytest.raises(files.Damaged, match=MANY):
        read_idx(path, 3)
    with write(path, "wb") as file:
        file.write(bytes((0, 0, 8, 1)) + struct.pack(">I", 10))
        for _ in range(1000):
            file.write(bytes(1000))
    with pytest.raises(ValueError, match="holds more values, its header says 10"):
        read_idx(path, 1)
    assert mnist.read_idx is read_idx


def test_a_line_of_vectors_without_an_end(tmp_path, monkeypatch):
    tokenizers = pytest.importorskip("tokenizers")
    monkeypatch.setattr(vectors, "LONGEST", 1000)
    path = tmp_path / "vectors.txt.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(1000):
            file.write(b"word 1.0 " * 111)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "word": 1}, unk_token="[UNK]"))
    with pytest.raises(ValueError, match="line 1: 1,000 characters or more"):
        vectors.read_vectors(path, tokenizer)


def legacy(path: Path, content: bytes) -> Path:
    """A file in the form that torch.save had before it wrote archives."""
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    path.write_bytes(head + content + pickle.dumps([], 2))
    return path


def test_a_pickle_that_asks_for_memory(tmp_path):
    ask = b"\x80\x02cbuiltins\nbytearray\nM\x10'\x85R."  # bytearray(10_000); 10**10 are no longer
    with pytest.raises(ValueError, match="asks for memory for more than tensors"):
        weights_of(legacy(tmp_path / "old.pt", ask))
    with zipfile.ZipFile(tmp_path / "new.pt", "w") as file:
        file.writestr("archive/data.pkl", ask)
        file.writestr("archive/version", "3\n")
    with pytest.raises(ValueError, match="asks for memory for more than tensors"):
        weights_of(tmp_path / "new.pt")


def test_packed_tensors_are_none_of_torch(tmp_path):
    torch.save({"weight": torch.zeros(1000)}, tmp_path / "good.pt")
    assert weights_of(tmp_path / "good.pt")["weight"].shape == (1000,)
    again = zipfile.ZipFile(tmp_path / "bad.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "good.pt") as good, again as bad:
        for name in good.namelist():
            bad.writestr(name, good.read(name))
    with pytest.raises(ValueError, match=r"bad.pt asks for [\d,]+ bytes, and has"):
        weights_of(tmp_path / "bad.pt")


def test_tensors_that_a_header_announces_must_be_there(tmp_path):
    header = json.dumps({"peers.0.w": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    with pytest.raises(SafetensorError):
        tensors_of(struct.pack("<Q", len(header)) + header)
    with pytest.raises(SafetensorError):
        tensors_of(struct.pack("<Q", 2**40) + b"{}")


def test_a_checkpoint_larger_than_the_limit_is_not_read(tmp_path):
    path = tmp_path / "step-00000001"
    path.mkdir()
    files.write_json(path / "state.json", {"step": 1, "sha256": {}})
    for name in ("peers", "state"):
        with (path / f"{name}.safetensors").open("wb") as file:
            file.truncate(HUGE)
    with pytest.raises(BrokenCheckpoint, match=MANY):
        load(path)


@pytest.mark.parametrize("form", ['{"a": %s}', "[%s]"])
def test_json_that_is_nested_too_deeply(form):
    deep = "0"
    for _ in range(files.DEEPEST + 1):
        deep = form % deep
    for text in (deep, "[" * 100_000, f'{{"b": "\\u001b", "a": {deep}}}'):
        with pytest.raises(files.Damaged, match="here is damaged \\(nested too deeply\\)"):
            files.parse(text, "here")
    assert files.parse("[" * 50 + "]" * 50, "here")
    assert files.parse(json.dumps([[1]] * 1000), "here")


def test_json_that_is_too_long(monkeypatch):
    monkeypatch.setattr(files, "LONGEST", 100)
    with pytest.raises(files.Damaged, match="here has 102 characters, and JSON of ours at most 100"):
        files.parse("[" + " " * 100 + "]", "here")


def test_a_table_whose_values_are_repeated(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from codistill.data.text.rows import Columns

    table = pyarrow.table({"text": ["a"] * 20_000, "label": ["b"] * 20_000})
    parquet.write_table(table, tmp_path / "texts.parquet")
    assert (tmp_path / "texts.parquet").stat().st_size < 5000
    with pytest.raises(ValueError, match="would take 1,280,000 bytes, at most 100,000"):
        list(Columns("text", "label").rows(tmp_path / "texts.parquet"))


def test_a_tokenizer_with_an_id_of_four_billion(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    from codistill.data.text.tokenizer import read_tokenizer

    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "[UNK]": 1, "word": 2}))
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str().replace('"word":2', '"word":4000000000'))
    with pytest.raises(ValueError, match="the largest id is 4,000,000,000 of 3 tokens"):
        read_tokenizer(path)
