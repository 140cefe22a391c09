"""A file that the `datasets` library cannot read is named, with the reader's own reason."""

import gc

import pytest

from codistill.data import load

datasets = pytest.importorskip("datasets", reason="hf needs the datasets library")
hf_sets = pytest.importorskip("hf_sets", reason="hf needs the datasets library and Pillow")

# the library leaves a file open where the types of two differ
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

GOOD = "text,label\na,0\nb,1\n"


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    yield from hf_sets.apart(tmp_path, monkeypatch)
    gc.collect()


def write(folder, **files):
    """Files by their names, an underscore for the dot."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train_csv": GOOD, "test_csv": GOOD + "c,0,2\n"}, r"test\.csv: .*Expected 2 fields in line 4, saw 3"),
        ({"train_csv": GOOD, "test_csv": GOOD.encode() + b"\xff,1\n"}, r"test\.csv: .*utf-8"),
        ({"train_csv": GOOD, "test_csv": ""}, r"test\.csv: "),
        ({"train_csv": GOOD, "test_csv": "text,lable\na,0\n"}, "column names don't match"),
        ({"train_tsv": "text\tlabel\na\t0\nb\t1\t2\n"}, r"train\.tsv: .*Expected 2 fields in line 3, saw 3"),
        ({"train_jsonl": '{"text": "a", "label": 0}\n\n{"text": \n'}, r"train\.jsonl: "),
        ({"train_parquet": b"no"}, r"train\.parquet: Parquet file size is 2 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, files, said):
    write(tmp_path / "one", **files)
    with pytest.raises(ValueError, match=rf"hf: one cannot be read: .*{said}.*: repair it$"):
        load("hf:one", tmp_path)


def test_what_is_wrong_with_no_file_is_in_the_words_of_the_library(tmp_path):
    write(tmp_path / "one", train_csv=GOOD)
    with pytest.raises(ValueError, match=r"hf: one cannot be read: BuilderConfig 'other' not found") as raised:
        load("hf:one,config=other", tmp_path)
    assert "train.csv" not in str(raised.value)
