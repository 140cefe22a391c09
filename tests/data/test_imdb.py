import hashlib
import io
import os
import re
import tarfile
from pathlib import Path

import pytest

from codistill.data import imdb as module, load, split

pytest.importorskip("tokenizers", reason="text needs the tokenizers library")

REAL = os.environ.get("CODISTILL_DATA")
FILES = {
    "train/neg/10_2.txt": "Bad.<br /><br />Really bad!",
    "train/neg/9_1.txt": "dull film",
    "train/pos/0_9.txt": "good film é",
    "train/pos/1_10.txt": "lovely",
    "test/neg/0_2.txt": "dull",
    "test/pos/0_10.txt": "good",
}


def written(root, files=FILES):
    for name, text in files.items():
        path = root / "aclImdb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("CODISTILL_CACHE", str(tmp_path / "kept"))
    return written(tmp_path)


def decoded(data):
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_str(data.text.tokenizer)
    return [tokenizer.decode([i for i in row if i]) for row in data.train.x.tolist()]


@pytest.mark.parametrize("inner", ["", "aclImdb"])
def test_folders_are_read_in_the_order_of_their_numbers(root, inner):
    data = load("imdb:min_count=1,length=12", root / inner)
    assert decoded(data) == ["dull film", "bad. really bad!", "good film é", "lovely"]
    assert data.train.y.tolist() == [0, 0, 1, 1]
    assert data.test.y.tolist() == [0, 1]
    assert (data.task, data.classes, data.names) == ("classes", 2, ("negative", "positive"))


def test_unlabelled_reviews_are_taken_where_they_are_wanted(root):
    with pytest.raises(FileNotFoundError, match=r"train.unsup holds no reviews"):
        load("imdb:unsup=true", root)
    written(root, {"train/unsup/0_0.txt": "who knows", "train/unsup/1_0.txt": "nobody"})
    assert len(load("imdb", root).train) == 4
    data = load("imdb:unsup=true,min_count=1", root)
    assert data.train.y.tolist() == [0, 0, 1, 1, -1, -1]
    assert decoded(data)[-2:] == ["who knows", "nobody"]
    parts = split.split(data, 0, labels=2)
    assert (len(parts.train), len(parts.unlabelled)) == (2, 4)


def test_one_logit_makes_the_task_binary(root):
    data = load("imdb:outputs=1,unsup=false", root)
    assert (data.classes, data.task) == (1, "binary")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("unsup=3", "imdb: unsup=3: use true or false"),
        ("skip_bad=3", "imdb: skip_bad=3: use true or false"),
        ("outputs=3", r"imdb: outputs=3 for 2 classes: give 2, or 1"),
        ("length=0", "imdb: length=0: give a whole number of at least 1"),
    ],
)
def test_an_option_out_of_range_is_named(root, options, said):
    with pytest.raises(ValueError, match=said):
        load(f"imdb:{options}", root)


def latin(path):
    path.write_bytes(b"one\ncaf\xe9 bar")


def folder(path):
    path.unlink()
    path.mkdir()


def gone(path):
    path.unlink()
    path.symlink_to(path.with_name("gone.txt"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (latin, r"9_1\.txt, line 2: not utf-8"),
        (folder, r"9_1\.txt: cannot be read \(Is a directory\)"),
        (gone, r"9_1\.txt: cannot be read \(No such file or directory\)"),
    ],
)
def test_a_review_that_cannot_be_read_is_named_or_left_out_and_counted(root, spoil, said):
    spoil(root / "aclImdb" / "train" / "neg" / "9_1.txt")
    written(root, {"test/pos/1_10.txt": "fine"})
    latin(root / "aclImdb" / "test" / "pos" / "0_10.txt")
    with pytest.raises(ValueError, match=rf"{said}: unpack the original archive again, or set skip_bad=true"):
        load("imdb", root)
    with pytest.warns(UserWarning, match="imdb: 1 of 2 reviews in .* cannot be used and are left out: ") as warned:
        data = load("imdb:min_count=1,skip_bad=true", root)
    assert len(warned) == 2
    assert re.search(said, str(warned[0].message))
    assert decoded(data) == ["bad. really bad!", "good film é", "lovely"]
    assert (data.train.y.tolist(), data.test.y.tolist()) == ([0, 1, 1], [0, 1])


def test_unlabelled_reviews_that_cannot_be_read_are_left_out_too(root):
    written(root, {"train/unsup/0_0.txt": "who knows", "train/unsup/1_0.txt": ""})
    latin(root / "aclImdb" / "train" / "unsup" / "1_0.txt")
    with pytest.warns(UserWarning, match="imdb: 1 of 2 reviews in .*unsup cannot be used"):
        assert load("imdb:unsup=true,skip_bad=true", root).train.y.tolist() == [0, 0, 1, 1, -1]


def test_a_folder_without_a_review_that_can_be_read_is_named(root):
    latin(root / "aclImdb" / "test" / "neg" / "0_2.txt")
    with (
        pytest.warns(UserWarning, match="1 of 1"),
        pytest.raises(ValueError, match=r"none of 1 reviews in .*neg can be used"),
    ):
        load("imdb:skip_bad=true", root)


def test_an_empty_folder_is_named(root):
    (root / "aclImdb" / "test" / "pos" / "0_10.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"pos holds no reviews \(\*\.txt\)"):
        load("imdb", root)


def test_folders_that_are_not_there_are_missed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"imdb was not found(.|\n)*aclImdb/train/neg(.|\n)*--download"):
        load("imdb", tmp_path)


@pytest.fixture
def packed(root, monkeypatch):
    """Where the archive is, in place of the network."""

    def pack(members):
        archive = root / "from" / "aclImdb_v1.tar.gz"
        archive.parent.mkdir()
        with tarfile.open(archive, "w:gz") as tar:
            for name, text in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        monkeypatch.setattr(module, "URL", archive.as_uri())
        monkeypatch.setattr(module, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())

    return pack


def test_the_archive_is_fetched_and_unpacked(root, packed):
    packed({f"aclImdb/{name}": text for name, text in FILES.items()})
    assert len(load("imdb", root / "to", download=True).train) == 4
    assert (root / "to" / "aclImdb" / "train" / "neg" / "9_1.txt").read_text() == "dull film"


def test_an_archive_of_another_hash_is_not_unpacked(root, packed, monkeypatch):
    packed({"aclImdb/train/neg/0_1.txt": "x"})
    monkeypatch.setattr(module, "MD5", "0" * 32)
    with pytest.raises(ValueError, match="its md5 is"):
        load("imdb", root / "to", download=True)
    assert not list((root / "to").iterdir())


def test_an_unsafe_archive_is_refused(root, packed):
    packed({"../outside.txt": "x"})
    with pytest.raises(ValueError, match="unsafe member"):
        load("imdb", root / "to", download=True)
    assert not (root / "outside.txt").exists()


def test_what_is_known_of_the_archive_stays():
    assert module.MD5 == "7c2ac02c03563afcf9b574c7e56c153a"
    assert module.URL == "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"


@pytest.mark.skipif(
    not REAL or not (Path(REAL) / "aclImdb").is_dir(), reason="CODISTILL_DATA names no folder with aclImdb"
)
def test_the_real_folders_hold_what_they_are_known_to():
    for part in ("train", "test"):
        texts = module._labelled(Path(REAL) / "aclImdb" / part, False)
        assert [texts.labels.count(y) for y in (0, 1)] == [12_500, 12_500]
        assert all(texts.texts)


def test_what_is_in_the_archives_place_is_found_before_anything_is_fetched(root, packed, monkeypatch):
    packed({f"aclImdb/{name}": text for name, text in FILES.items()})
    (root / "to" / "aclImdb").mkdir(parents=True)
    monkeypatch.setattr(module, "fetch", None)
    with pytest.raises(FileExistsError, match="aclImdb exists already.*remove it or move it away"):
        load("imdb", root / "to", download=True)
