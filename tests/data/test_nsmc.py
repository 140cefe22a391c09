import csv
import hashlib
import io
import os
from pathlib import Path

import pytest
import torch

from codistill.data import load
from codistill.data import nsmc as module
from codistill.data.nsmc import read

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
    texts = read(path)
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
    ("line", "said"),
    [
        ("7\tab\n", r"line 8: \['7', 'ab'\]: give an id, a text and 0 or 1"),
        ("7\tab\t2\n", "line 8.*give an id, a text and 0 or 1"),
        ("7\tab\t1\t1\n", "line 8"),
    ],
)
def test_a_line_that_is_none_is_named(root, line, said):
    path = root / "nsmc" / "ratings_test.txt"
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")
    with pytest.raises(ValueError, match=f"ratings_test.txt, {said}"):
        load("nsmc", root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text\tlabel\n", "line 1.*not .'id', 'document', 'label'.*fetch it again"),
        (b"id\tdocument\tlabel\n1\t\xff\xfe\t1\n", "not UTF-8"),
        (b"id\tdocument\tlabel\n", "holds no reviews"),
        (b"", "line 1"),
    ],
)
def test_a_file_that_is_none_is_named(root, content, said):
    (root / "nsmc" / "ratings_train.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"ratings_train.txt.*{said}"):
        load("nsmc", root)


def test_files_that_are_not_there_are_missed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nsmc is not there(.|\n)*ratings_train\.txt(.|\n)*--download"):
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


def test_the_address_is_the_project_s_own():
    assert module.URL == "https://raw.githubusercontent.com/e9t/nsmc/master/"


@pytest.mark.skipif(not REAL or not (Path(REAL) / "nsmc").is_dir(), reason="CODISTILL_DATA names no folder with nsmc")
def test_the_real_files_are_what_they_are_known_to_be():
    for name, counts, empty in zip(module.FILES, ([75173, 74827], [24827, 25173]), (5, 3), strict=True):
        path = Path(REAL) / "nsmc" / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == module.FILES[name]
        texts = read(path)
        assert torch.tensor(texts.labels).bincount().tolist() == counts
        assert sum(not text for text in texts.texts) == empty
        assert max(map(len, texts.texts)) <= 158
