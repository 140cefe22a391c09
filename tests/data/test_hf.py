import sys
import time

import pytest
import torch

from codistill.data import load

datasets = pytest.importorskip("datasets", reason="hf needs the datasets library")
pytest.importorskip("tokenizers", reason="text needs the tokenizers library")
pytest.importorskip("PIL.Image")
hf_sets = pytest.importorskip("hf_sets", reason="hf needs the datasets library and Pillow")
apart, pictures, reviews = hf_sets.apart, hf_sets.pictures, hf_sets.reviews

NOWHERE = "http://127.0.0.1:9"  # nobody listens there


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    yield from apart(tmp_path, monkeypatch)


def test_a_folder_that_was_saved_in_parts(tmp_path):
    datasets.DatasetDict({"train": reviews(20), "test": reviews(6)}).save_to_disk(tmp_path / "two")
    data = load("hf:two,length=5", tmp_path)
    assert (data.train.x.shape, data.test.x.shape) == ((20, 5), (6, 5))
    assert data.names == ("neg", "pos")
    assert data.train.y.tolist() == [0, 1] * 10
    assert load("hf:two,outputs=1", tmp_path).task == "binary"


def test_a_folder_by_its_path_of_one_part_is_divided(tmp_path):
    reviews(20).save_to_disk(tmp_path / "one")
    data = load(f"hf:{tmp_path / 'one'},length=5,tokenizer=words", tmp_path / "elsewhere")
    assert data.test.y.bincount().tolist() == [2, 2]
    assert len(data.train) == 16
    assert len(load("hf:one,test=0.5", tmp_path).test) == 10


def test_a_folder_of_parquet(tmp_path):
    (tmp_path / "files").mkdir()
    reviews(20).to_parquet(tmp_path / "files" / "train.parquet")
    reviews(4).to_parquet(tmp_path / "files" / "test.parquet")
    data = load("hf:files", tmp_path)
    assert (len(data.train), len(data.test), data.names) == (20, 4, ("neg", "pos"))


@pytest.mark.parametrize("kind", ["int64", "string", "float64"])
def test_labels_that_are_no_classes_are_sorted(tmp_path, kind):
    rows = reviews(20, datasets.Value("int64")).map(lambda row: {"label": 10 - 8 * row["label"]})
    rows.cast_column("label", datasets.Value(kind)).save_to_disk(tmp_path / "one")
    data = load("hf:one", tmp_path)
    assert data.names == ("2", "10")
    assert sorted(data.train.y.bincount().tolist()) == [8, 8]


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_images_become_bytes(tmp_path, mode):
    rows = pictures([8] * 20, mode)
    datasets.DatasetDict({"train": rows, "validation": rows.select(range(4))}).save_to_disk(tmp_path / "im")
    data = load("hf:im,label=what", tmp_path)
    assert data.names == ("cat", "dog")
    assert data.train.x.dtype == torch.uint8
    assert data.train.x.shape == (20, 1 if mode == "L" else 3, 8, 8)
    assert data.train.x[5, :, 0, 0].tolist() == ([5] if mode == "L" else [5, 10, 15])
    assert data.test.y.tolist() == [1, 0, 1, 0]
    assert data.mean[0] == pytest.approx(sum(range(20)) / 20 / 255)


def test_images_are_resized(tmp_path):
    pictures([8, 12] * 10, "RGB").save_to_disk(tmp_path / "im")
    assert load("hf:im,label=what,size=6,grey=true", tmp_path).train.x.shape == (16, 1, 6, 6)
    with pytest.raises(ValueError, match=r"hf: row \d+ of split 'train' is (8x8|12x12) pixels, the first"):
        load("hf:im,label=what", tmp_path)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hf:two,train=trian", "no split of two is called 'trian': did you mean 'train'"),
        ("hf:two,test=tset", "no split of two is called 'tset': did you mean 'test'"),
        ("hf:two,text=txt", "no column of two is called 'txt': did you mean 'text'"),
        ("hf:two,label=lable", "did you mean 'label'"),
        ("hf:two,image=text", r"image=text is .*not images"),
        ("hf:two,text=text,label=text", "label=text is the column of texts too"),
        ("hf:two,size=0", "hf: size=0: give a whole number of at least 1"),
        ("hf:two,skip_bad=1", "hf: skip_bad=1: use true or false"),
        ("hf:two,grey=3", "hf: grey=3: use true or false"),
        ("hf:two,outputs=5", "hf: outputs=5 for 2 classes"),
        ("hf", "data 'hf' needs name: write name=..., or hf:NAME"),
        ("hf:two,name=one", "name is given twice"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, spec, said):
    datasets.DatasetDict({"train": reviews(20), "test": reviews(6)}).save_to_disk(tmp_path / "two")
    with pytest.raises(ValueError, match=said):
        load(spec, tmp_path)


def test_columns_that_leave_a_doubt_are_asked_for(tmp_path):
    rows = reviews(20)
    rows.add_column("title", ["a"] * 20).rename_column("label", "stars").save_to_disk(tmp_path / "one")
    with pytest.raises(ValueError, match=r"columns text, stars, title, any of text, title: name one with text=COLUMN"):
        load("hf:one", tmp_path)
    assert load("hf:one,text=text", tmp_path).names == ("neg", "pos")


def test_a_test_part_without_labels_is_refused(tmp_path):
    hidden = reviews(6).map(lambda row: {"label": -1})
    datasets.DatasetDict({"train": reviews(20), "test": hidden, "validation": reviews(4)}).save_to_disk(tmp_path / "g")
    with pytest.raises(ValueError, match=r"split 'test' has no labels to test on: name another \(test=validation\)"):
        load("hf:g", tmp_path)
    assert len(load("hf:g,test=validation", tmp_path).test) == 4


def test_a_row_that_cannot_be_used_is_named(tmp_path):
    odd = reviews(4, datasets.Value("int64")).map(
        lambda row, i: {"label": 7 if i == 3 else row["label"]}, with_indices=True
    )
    datasets.DatasetDict({"train": reviews(20, datasets.Value("int64")), "test": odd}).save_to_disk(tmp_path / "a")
    with pytest.raises(ValueError, match="hf: split 'test': row 3: label=7 is none of 0, 1"):
        load("hf:a", tmp_path)
    datasets.Dataset.from_dict({"text": ["a", None, "b", "c"], "label": [0, 1, 0, 1]}).save_to_disk(tmp_path / "b")
    with pytest.raises(ValueError, match="split 'train': row 1: text=None is no text: .* or set skip_bad=true"):
        load("hf:b,test=0.5", tmp_path)


def test_without_download_the_network_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("asked"))
    with pytest.raises(FileNotFoundError, match=r"nobody/none is not on this machine, .*--download"):
        load("hf:nobody/none", tmp_path)
    assert not datasets.config.HF_HUB_OFFLINE


def test_without_a_network_there_is_an_error_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", NOWHERE)
    start = time.monotonic()
    with pytest.raises(OSError, match=rf"hf: {NOWHERE} cannot be reached .*check the network, or name a folder"):
        load("hf:nobody/none", tmp_path, download=True)
    assert time.monotonic() - start < 5


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'codistill\[text\]'"):
        load("hf:one", tmp_path)
