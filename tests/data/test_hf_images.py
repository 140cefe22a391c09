"""LazyImages of a Hugging Face data set are decoded once."""

import pytest
import torch

from codistill.data import load
from codistill.data.huggingface import images as module

datasets = pytest.importorskip("datasets", reason="hf needs the datasets library")
pytest.importorskip("PIL.Image")
hf_sets = pytest.importorskip("hf_sets", reason="hf needs the datasets library and Pillow")
apart, pictures, pictures_of, png = hf_sets.apart, hf_sets.pictures, hf_sets.pictures_of, hf_sets.png


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    yield from apart(tmp_path, monkeypatch)


@pytest.fixture
def decoded(monkeypatch):
    """The rows that were decoded; what is decoded is kept whatever its number."""
    found, read = [], module._image
    monkeypatch.setattr(module, "MANY", 2)
    monkeypatch.setattr(module, "_image", lambda rows, row, *rest: found.append(row) or read(rows, row, *rest))
    return found


def same(one, other):
    return all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in ((one.train, other.train), (one.test, other.test))
        for name in ("x", "y")
    )


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_second_start_decodes_nothing(tmp_path, decoded, mode):
    rows = pictures([8] * 20, mode)
    datasets.DatasetDict({"train": rows, "test": rows.select(range(6))}).save_to_disk(tmp_path / "im")
    first = load("hf:im,label=what", tmp_path)
    assert decoded == [*range(20), *range(6)]
    decoded.clear()
    assert same(first, load("hf:im,label=what", tmp_path))
    assert decoded == []


def test_other_options_and_other_images_are_decoded_anew(tmp_path, decoded):
    pictures([8] * 20).save_to_disk(tmp_path / "im")
    load("hf:im,label=what", tmp_path)
    decoded.clear()
    assert load("hf:im,label=what,size=4", tmp_path).train.x.shape == (16, 1, 4, 4)
    assert load("hf:im,label=what,grey=false", tmp_path).train.x.shape == (16, 3, 8, 8)
    assert len(decoded) == 40
    pictures([6] * 20).save_to_disk(tmp_path / "im")
    assert load("hf:im,label=what", tmp_path).train.x.shape == (16, 1, 6, 6)
    assert len(decoded) == 60


def test_files_that_have_changed_are_decoded_anew(tmp_path, decoded):
    (tmp_path / "im").mkdir()
    pictures([8] * 20).to_parquet(tmp_path / "im" / "train.parquet")
    first = load("hf:im,label=what", tmp_path)
    assert same(first, load("hf:im,label=what", tmp_path))
    assert len(decoded) == 20
    pictures_of([png(8, 99)] * 20, ["cat", "dog"] * 10).to_parquet(tmp_path / "im" / "train.parquet")
    assert load("hf:im,label=what", tmp_path).train.x.unique().tolist() == [99]
    assert len(decoded) == 40


def test_a_few_are_decoded_at_every_start(tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(module, "MANY", 21)
    pictures([8] * 20).save_to_disk(tmp_path / "im")
    for _ in range(2):
        load("hf:im,label=what", tmp_path)
    assert len(decoded) == 40
    assert not (tmp_path / "kept").exists()


def test_bad_rows_are_remembered(tmp_path, decoded):
    rows = [None if i == 7 else b"no" if i == 9 else png(8, i) for i in range(20)]
    pictures_of(rows, ["cat", "dog"] * 10).save_to_disk(tmp_path / "im")
    with pytest.raises(ValueError, match="split 'train': row 7: holds no image"):
        load("hf:im,label=what", tmp_path)
    assert decoded == list(range(8))
    found = []
    for _ in range(2):
        decoded.clear()
        with pytest.warns(match=r"2 of 20 rows .*row 7: holds no image; row 9: cannot be read"):
            found.append(load("hf:im,label=what,skip_bad=true", tmp_path))
    assert decoded == []
    assert same(*found)
    with pytest.raises(ValueError, match="split 'train': row 7: holds no image"):
        load("hf:im,label=what", tmp_path)


def test_the_test_part_has_the_form_of_images_that_were_kept(tmp_path, decoded):
    rows = pictures([8] * 20)
    datasets.DatasetDict({"train": rows, "test": pictures([9] * 4)}).save_to_disk(tmp_path / "im")
    for _ in range(2):
        with pytest.raises(ValueError, match="hf: row 0 of split 'test' is 9x9 pixels, the first 8x8"):
            load("hf:im,label=what", tmp_path)
    assert decoded == [*range(20), 0, 0]
