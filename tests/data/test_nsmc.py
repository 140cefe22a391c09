import csv
import hashlib
import io
import os
import re
from pathlib import Path

import pytest
import torch

from codistill.data import load
from codistill.data import nsmc as module
from codistill.data.nsmc import read
from codistill.data.text import Texts

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
        (b"id\tdocument\tlabel\n1\t\xff\xfe\t1\n", "line 2: not utf-8; fetch it again, or set skip_bad=true"),
        (b"id\tdocument\tlabel\n", "no row below the names of its columns"),
        (b'id\tdocument\t"label\n', "line 1: a quote that does not end on its line, not "),
        (
            "id\tdocument\tlabel\n".encode("utf-16"),
            "line 1: not utf-8: it is utf-16: fetch it again, or save it as utf-8",
        ),
        (b"", "line 1"),
    ],
)
def test_a_file_that_is_none_is_named(root, content, said):
    (root / "nsmc" / "ratings_train.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"ratings_train.txt.*{said}"):
        load("nsmc", root)


LONG = "7\t" + "long " * 100 + "\t2"
STRANGE = [
    ({42: '42\t"열린 인용\t0'}, [42], "a quote that does not end on its line"),
    ({42: '42\t"열린 인용\t0', 83: '83\t"또\t1'}, [42, 83], "a quote that does not end on its line"),
    ({42: '42\t"열린 인용\t0', 43: '닫힌"\t1'}, [42, 43], "a quote that does not end on its line"),
    ({7: '7\t"a"b\t0'}, [7], "'\t' expected after '\"'"),
    ({9: "9\t두\udcb5\t0"}, [9], "not utf-8"),
    ({9: "9\ta"}, [9], "['9', 'a']: give an id, a text and 0 or 1"),
    ({9: ""}, [9], "[]: give an id, a text and 0 or 1"),
    ({9: LONG}, [9], str(LONG.split("\t"))[:77] + "...: give an id, a text and 0 or 1"),
]


@pytest.mark.parametrize(("strange", "bad", "said"), STRANGE)
def test_a_line_without_a_review_is_named_or_left_out_and_counted(root, strange, bad, said):
    path = root / "nsmc" / "ratings_train.txt"
    lines = ["id\tdocument\tlabel", *(strange.get(i, f"{i}\t영화 {i}\t{i % 2}") for i in range(2, 123))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    error = f"{path}, line {bad[0]}: {said}; fetch it again, or set skip_bad=true"
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        load("nsmc", root)
    start = re.escape(f"nsmc: {len(bad)} of 121 rows of {path} are left out: line {bad[0]}: {said}")
    with pytest.warns(UserWarning, match=start) as warned:
        data = load("nsmc:skip_bad=true", root)
    assert len(warned) == 1
    assert len(data.train) == 121 - len(bad)
    left = [i for i in range(2, 123) if i not in bad]
    with pytest.warns(UserWarning, match=start):
        texts = read(path, skip_bad=True)
    assert texts == Texts([f"영화 {i}" for i in left], [i % 2 for i in left])


def test_skip_bad_is_true_or_false(root):
    with pytest.raises(ValueError, match="nsmc: skip_bad=3: use true or false"):
        load("nsmc:skip_bad=3", root)


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
