import csv
import hashlib
import io
import os
import re
from pathlib import Path

import pytest
import torch

from codistill.data import load, nsmc as module
from codistill.data.nsmc import _read as read
from codistill.data.text.token_ids import Texts

pytest.importorskip("tokenizers", reason="text needs the tokenizers library")

REAL = os.environ.get("CODISTILL_DATA")
ROWS = [
    ("좋은 영화", 1),
    ('그는 "최고"라고 했다', 1),
    ("", 0),
    ('"시작부터 인용', 0),
    ("정말 지루하다", 0),
    ("추천", 1),
]


def written(path, rows=ROWS):
    """As pandas writes it: quoted where there is a quote, an inner one doubled."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(["id", "document", "label"])
    writer.writerows((number, text, label) for number, (text, label) in enumerate(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("CODISTILL_CACHE", str(tmp_path / "kept"))
    for name in module.FILES:
        written(tmp_path / "nsmc" / name)
    return tmp_path


def test_reviews_are_read_as_pandas_wrote_them(tmp_path):
    path = written(tmp_path / "a.txt")
    assert '"""시작부터 인용"' in path.read_text(encoding="utf-8")
    texts = read(path, False)
    assert list(zip(texts.texts, texts.labels, strict=True)) == ROWS


@pytest.mark.parametrize("inner", ["", "nsmc"])
def test_both_folders_are_looked_in(root, inner):
    data = load("nsmc:min_count=1,vocabulary=100", root / inner)
    assert data.train.x.shape == (6, 20)
    assert data.train.y.tolist() == [label for _, label in ROWS]
    assert (data.classes, data.task, data.names) == (2, "classes", ("negative", "positive"))
    assert (data.mean, data.std) == ((), ())
    assert data.train.x[2].tolist() == [1] + [0] * 19


def test_one_logit_makes_the_task_binary(root):
    data = load("nsmc:outputs=1", root)
    assert (data.classes, data.task, data.names) == (1, "binary", ("negative", "positive"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text\tlabel\n", "is called 'document'"),
        (b"id\tdocument\tlabel\n", "none of 0 rows can be used: fetch it again"),
        (b'id\tdocument\t"label\n', "line 1: unexpected end of data"),
        ("id\tdocument\tlabel\n".encode("utf-16"), "line 1: not utf-8"),
        (b"", "is called 'document'"),
    ],
)
def test_a_damaged_file_is_named(root, content, said):
    (root / "nsmc" / "ratings_train.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"ratings_train.txt.*{said}"):
        load("nsmc", root)


@pytest.mark.parametrize(
    ("strange", "bad", "said"),
    [
        ({42: '42\t"열린 인용\t0', 43: '닫힌"\t1'}, "lines 42-43", "a quote that does not end on its line"),
        ({7: '7\t"a"b\t0'}, "line 7", "'\t' expected after '\"'"),
        ({9: "9\t두\udcb5\t0"}, "line 9", "not utf-8"),
        ({9: "9\ta"}, "line 9", "2 fields for 3 columns"),
        ({9: "9\ta\t1\t1"}, "line 9", "4 fields for 3 columns"),
        ({9: "9\ta\t2"}, "line 9", "label '2': give 0 or 1"),
    ],
)
def test_a_line_without_a_review_is_named_or_left_out_and_counted(root, strange, bad, said):
    path = root / "nsmc" / "ratings_train.txt"
    lines = ["id\tdocument\tlabel", *(strange.get(i, f"{i}\t영화 {i}\t{i % 2}") for i in range(2, 123))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    start = re.escape(f"{path}: {bad}: {said}")
    with pytest.raises(ValueError, match=rf"^{start}.*fetch it again, or set skip_bad=true \(as in --data "):
        load("nsmc", root)
    rows = 121 - (len(strange) - 1)
    start = re.escape(f"{path}: 1 of {rows} rows cannot be used and are left out: {bad}: {said}")
    with pytest.warns(UserWarning, match=start):
        texts = read(path, skip_bad=True)
    left = [i for i in range(2, 123) if i not in strange]
    assert texts == Texts([f"영화 {i}" for i in left], [i % 2 for i in left])


def test_skip_bad_is_true_or_false(root):
    with pytest.raises(ValueError, match="nsmc: skip_bad=3: use true or false"):
        load("nsmc:skip_bad=3", root)


def test_files_that_are_not_there_are_missed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nsmc was not found(.|\n)*ratings_train\.txt(.|\n)*--download"):
        load("nsmc", tmp_path)


def test_they_are_fetched_and_held_against_their_hashes(root, tmp_path, monkeypatch):
    source, dest = root / "nsmc", tmp_path / "fetched"
    monkeypatch.setattr(module, "URL", f"{source.as_uri()}/")
    with pytest.raises(ValueError, match=r"ratings_train\.txt: its sha256 is"):
        load("nsmc", dest, download=True)
    hashes = {name: hashlib.sha256((source / name).read_bytes()).hexdigest() for name in module.FILES}
    monkeypatch.setattr(module, "FILES", hashes)
    assert len(load("nsmc", dest, download=True).test) == 6
    assert sorted(path.name for path in (dest / "nsmc").iterdir()) == ["ratings_test.txt", "ratings_train.txt"]


def test_the_address_is_the_projects_own():
    assert module.URL == "https://raw.githubusercontent.com/e9t/nsmc/master/"


@pytest.mark.skipif(not REAL or not (Path(REAL) / "nsmc").is_dir(), reason="CODISTILL_DATA names no folder with nsmc")
def test_the_real_files_are_what_they_are_known_to_be():
    for name, counts, empty in zip(module.FILES, ([75173, 74827], [24827, 25173]), (5, 3), strict=True):
        path = Path(REAL) / "nsmc" / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == module.FILES[name]
        texts = read(path, False)
        assert torch.tensor(texts.labels).bincount().tolist() == counts
        assert sum(not text for text in texts.texts) == empty
        assert max(map(len, texts.texts)) <= 158
