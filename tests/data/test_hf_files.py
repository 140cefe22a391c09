"""A file that the `datasets` library cannot read is named."""

import gc

import pytest

from codistill.data import load
from codistill.data.hf_files import CHECKS, LENGTH, SAYS_NOTHING, fault, reason

datasets = pytest.importorskip("datasets", reason="hf needs the datasets library")
pytest.importorskip("PIL.Image")
hf_sets = pytest.importorskip("hf_sets", reason="hf needs the datasets library and Pillow")

# the library leaves a file open where the types of two differ
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

GOOD = "text,label\na,0\nb,1\n"


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    yield from hf_sets.apart(tmp_path, monkeypatch)
    gc.collect()


def write(folder, **files):
    """Files by the names of parts; a key is called as part and suffix are, with an underscore between."""
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"test_csv": GOOD + "c,0,2\n"}, r"test\.csv, line 4: 3 fields for 2 columns \(Error tokenizing data.*saw 3\)"),
        ({"test_csv": 'text,label\n"a\nb",0\nc,1\nd,1,2\n'}, r"test\.csv, line 5: 3 fields for 2 columns"),
        ({"test_csv": 'text,label\na,0\n"b,1\nc,0\n'}, r"test\.csv, after line 2: a quote that never ends"),
        ({"test_csv": GOOD.encode() + b"\xff,1\n"}, r"test\.csv, line 4: not utf-8 \(invalid start byte\)"),
        ({"test_csv": "text,lable\na,0\n"}, r"train\.csv, line 1: columns text, label, where test.csv has text, lable"),
        ({"test_csv": "text,label\na,0\nb,x\n"}, r"test\.csv, line 3: 'x' is no int64, as other files have"),
        ({"test_csv": ""}, r"test\.csv: it is empty"),
    ],
)
def test_the_file_and_the_line_of_csv_are_named(tmp_path, files, said):
    write(tmp_path / "one", train_csv=GOOD, **files)
    with pytest.raises(ValueError, match=rf"hf: one cannot be read: .*{said}.*: repair it$"):
        load("hf:one", tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train_tsv": "text\tlabel\na, b, c\t0\nb\t1\t2\n"}, r"train\.tsv, line 3: 3 fields for 2 columns"),
        ({"train_jsonl": '{"text": "a", "label": 0}\n\n{"text": \n'}, r"train\.jsonl, line 3: Expecting value"),
        ({"train_json": '[{"text": "a",\n"label": 0},\n{"text": '}, r"train\.json, line 3: Expecting value"),
        ({"train_parquet": b"no"}, r"train\.parquet: Parquet file size is 2 bytes[^(]*\([^(]*\): repair it$"),
    ],
)
def test_other_files_are_named(tmp_path, files, said):
    write(tmp_path / "one", **files)
    with pytest.raises(ValueError, match=rf"hf: one cannot be read: .*{said}"):
        load("hf:one", tmp_path)


def test_what_is_wrong_with_no_file_is_said_as_the_library_says_it(tmp_path):
    write(tmp_path / "one", train_csv=GOOD)
    with pytest.raises(ValueError, match=r"hf: one cannot be read: BuilderConfig 'other' not found") as raised:
        load("hf:one,config=other", tmp_path)
    assert "train.csv" not in str(raised.value)


def test_the_innermost_reason_is_given_in_one_short_line():
    for said, expected in [
        ((SAYS_NOTHING, "", "bad\n  row 3\n"), "bad row 3"),
        ((f"{SAYS_NOTHING}\n\nAll files differ", "x"), "All files differ"),
        (("", ""), "ValueError"),
        (("a" * 999,), "a" * LENGTH + " ..."),
    ]:
        assert reason(chain(*said)) == expected


def chain(*said):
    """An error with the one that it came from, and so on."""
    error = ValueError(said[0])
    error.__cause__ = chain(*said[1:]) if said[1:] else None
    return error


def test_files_without_a_fault_are_not_named(tmp_path):
    write(tmp_path, train_csv=GOOD + "\n" + f'"{"x" * 200_000}",1\n', test_csv='text,label\na "b" c,0\nb\n')
    write(tmp_path, a_json='{"a": 1}\n{"a": 2}\n', b_json='[\n{"a": 1}]', c_txt="a,b,c\n")
    write(tmp_path / ".hidden", train_csv=GOOD + "a,b,c\n")
    assert fault(tmp_path, "no column") is None
    assert fault(tmp_path, "Failed to parse string: 'z' as a scalar of type int64") is None


def test_a_file_that_is_closed_is_named(tmp_path, monkeypatch):
    write(tmp_path, train_csv=GOOD)

    def closed(path):
        raise PermissionError("Permission denied")

    monkeypatch.setitem(CHECKS, ".csv", closed)
    assert fault(tmp_path, "").endswith("train.csv: Permission denied")
