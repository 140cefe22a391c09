"""Rows of a Hugging Face data set that cannot be used, and rows that have no label."""

import pytest

from codistill.data import load
from codistill.run import Run
from codistill.training.loop import train

datasets = pytest.importorskip("datasets", reason="hf needs the datasets library")
pytest.importorskip("tokenizers", reason="text needs the tokenizers library")
Image = pytest.importorskip("PIL.Image")
hf_sets = pytest.importorskip("hf_sets", reason="hf needs the datasets library and Pillow")
apart, pictures_of, png, reviews, texts_with = (
    hf_sets.apart,
    hf_sets.pictures_of,
    hf_sets.png,
    hf_sets.reviews,
    hf_sets.texts_with,
)

NUMBERS = datasets.Value("int64")


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    yield from apart(tmp_path, monkeypatch)


def images(bad, count=20):
    """So many pictures in two classes, with other things in place of some."""
    return pictures_of([bad.get(i, png(8, i)) for i in range(count)], ["cat", "dog"] * (count // 2))


# Which row it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [1, 7, 19])
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"no picture", "cannot be read"),
        (b"", "cannot be read"),
        (png(8, 0)[:-30], "cannot be read"),
        (None, "holds no image"),
        (Image.new("I", (8, 8)), r"cannot be read \(has more than 8 bits to a pixel \(mode I"),
    ],
    ids=["no picture", "empty", "cut short", "none", "32 bits"],
)
def test_the_row_of_a_bad_image_is_the_row_of_the_part_that_is_divided(tmp_path, row, bad, said):
    images({row: bad}).save_to_disk(tmp_path / "im")
    with pytest.raises(ValueError, match=rf"hf: split 'train': row {row}: {said}.*: repair it.* or set skip_bad=true"):
        load("hf:im,label=what", tmp_path)


def test_the_row_of_an_image_of_another_size_is_the_row_of_the_part_that_is_divided(tmp_path):
    images({7: png(9, 7)}).save_to_disk(tmp_path / "im")
    with pytest.raises(ValueError, match="hf: row 7 of split 'train' is 9x9 pixels, the first 8x8"):
        load("hf:im,label=what,skip_bad=true", tmp_path)


@pytest.mark.parametrize("row", [1, 7, 19])
def test_the_row_without_a_text_is_the_row_of_the_part_that_is_divided(tmp_path, row):
    texts_with([0, 1] * 10, texts=[None if i == row else "a" for i in range(20)]).save_to_disk(tmp_path / "one")
    with pytest.raises(ValueError, match=f"hf: split 'train': row {row}: text=None is no text"):
        load("hf:one,test=0.5", tmp_path)


def test_the_row_of_a_label_that_is_no_class_is_named(tmp_path):
    rows = texts_with([0, 1, -2] + [0, 1] * 5, NUMBERS)
    rows.cast_column("label", datasets.ClassLabel(names=["neg", "pos"])).save_to_disk(tmp_path / "one")
    with pytest.raises(ValueError, match="hf: split 'train': row 2: label=-2 is none of neg, pos: repair it"):
        load("hf:one", tmp_path)


# Going on without them ------------------------------------------------------------------------------------------------


def test_rows_with_bad_images_are_left_out(tmp_path):
    bad = {0: b"no", 5: None, 9: b"", 12: png(8, 0)[:-30]}
    datasets.DatasetDict({"train": images(bad), "test": images({1: None}, 4)}).save_to_disk(tmp_path / "im")
    with pytest.warns() as warned:
        data = load("hf:im,label=what,skip_bad=true", tmp_path)
    said = [str(warning.message) for warning in warned]
    assert len(said) == 2
    assert said[0].startswith("hf: split 'train': 4 of 20 rows cannot be used and are left out: row 0: cannot be read")
    assert "; row 5: holds no image; row 9: cannot be read" in said[0]
    assert said[0].endswith("; ...")
    assert said[1].endswith("split 'test': 1 of 4 rows cannot be used and are left out: row 1: holds no image")
    left = [row for row in range(20) if row not in bad]
    assert data.train.x[:, 0, 0, 0].tolist() == left
    assert data.train.y.tolist() == [row % 2 for row in left]
    assert data.test.x[:, 0, 0, 0].tolist() == [0, 2, 3]
    assert data.test.y.tolist() == [0, 0, 1]


def test_rows_without_a_text_and_with_a_bad_label_are_left_out(tmp_path):
    texts = [None if i == 3 else f"film {i}" for i in range(20)]
    odd = texts_with([0, 1, 7, None, -1, 0], NUMBERS)
    datasets.DatasetDict({"train": texts_with([0, 1] * 10, NUMBERS, texts), "test": odd}).save_to_disk(tmp_path / "two")
    with (
        pytest.warns(match=r"hf: split 'train': 1 of 20 rows .* left out: row 3: text=None is no text$"),
        pytest.warns(match=r"split 'test': 3 of 6 rows .*: row 2: label=7 is none of 0, 1; row 3: label is -1 or"),
    ):
        data = load("hf:two,skip_bad=true", tmp_path)
    assert data.train.y.tolist() == [0, 1, 0, *[0, 1] * 8]
    assert data.test.y.tolist() == [0, 1, 0]


def test_what_is_held_out_is_drawn_from_the_rows_that_are_left(tmp_path):
    images({7: None}).save_to_disk(tmp_path / "im")
    with pytest.warns(match="1 of 20 rows"):
        data = load("hf:im,label=what,skip_bad=true", tmp_path)
    seen = [*data.train.x[:, 0, 0, 0].tolist(), *data.test.x[:, 0, 0, 0].tolist()]
    assert sorted(seen) == [row for row in range(20) if row != 7]
    assert [*data.train.y.tolist(), *data.test.y.tolist()] == [row % 2 for row in seen]


def test_a_class_whose_rows_are_all_left_out_is_none(tmp_path):
    labels = ["cat", "dog", "eel"] * 4
    pictures_of([None if i % 3 == 2 else png(8, i) for i in range(12)], labels).save_to_disk(tmp_path / "im")
    with pytest.warns(match="4 of 12 rows"):
        assert load("hf:im,label=what,skip_bad=true", tmp_path).names == ("cat", "dog")


def test_where_no_row_is_left_it_is_said(tmp_path):
    images(dict.fromkeys(range(4)), 4).save_to_disk(tmp_path / "im")
    with (
        pytest.warns(match="4 of 4 rows"),
        pytest.raises(ValueError, match="none of 4 rows can be used"),
    ):
        load("hf:im,label=what,skip_bad=true", tmp_path)


def test_classes_of_the_test_part_are_found_by_their_names(tmp_path):
    turned = reviews(4, datasets.ClassLabel(names=["pos", "neg"]))
    datasets.DatasetDict({"train": reviews(20), "test": turned}).save_to_disk(tmp_path / "two")
    assert load("hf:two", tmp_path).test.y.tolist() == [1, 0, 1, 0]


# Rows without a label -------------------------------------------------------------------------------------------------

UNLABELLED = [0, 1, -1, None] * 5


@pytest.mark.parametrize("kind", [datasets.ClassLabel(names=["0", "1"]), NUMBERS, datasets.Value("float64")])
def test_a_label_of_minus_one_or_none_is_unlabelled(tmp_path, kind):
    parts = {"train": texts_with(UNLABELLED, kind), "test": texts_with([0, 1, 1], kind)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "two")
    data = load("hf:two", tmp_path)
    assert data.names == ("0", "1")
    assert data.train.y.tolist() == [0, 1, -1, -1] * 5
    assert data.test.y.tolist() == [0, 1, 1]


def test_a_word_is_a_class_whatever_it_says(tmp_path):
    texts_with(["-1", "1", None, "1"] * 5, datasets.Value("string")).save_to_disk(tmp_path / "one")
    data = load("hf:one,test=0.4", tmp_path)
    assert data.names == ("-1", "1")
    assert int((data.train.y == -1).sum()) == 5


def test_the_test_part_is_drawn_from_the_labelled_rows(tmp_path):
    texts_with(UNLABELLED).save_to_disk(tmp_path / "one")
    data = load("hf:one,test=0.4", tmp_path)
    assert data.test.y.bincount().tolist() == [2, 2]
    assert sorted(data.train.y.tolist()) == [-1] * 10 + [0] * 3 + [1] * 3


@pytest.mark.parametrize("label", [-1, None])
@pytest.mark.parametrize("kind", [None, NUMBERS])
def test_a_row_to_test_on_without_a_label_is_refused(tmp_path, label, kind):
    odd = texts_with([0, 1, 0, label, 1], kind)
    datasets.DatasetDict({"train": reviews(20, kind), "test": odd}).save_to_disk(tmp_path / "two")
    with pytest.raises(ValueError, match="split 'test': row 3: label is -1 or missing, no label to test on: repair"):
        load("hf:two", tmp_path)


@pytest.mark.parametrize(
    ("labels", "kind", "holds"),
    [
        ([-1] * 8, None, "no labels"),
        ([None, -1] * 4, NUMBERS, "no labels"),
        ([1, -1] * 4, NUMBERS, "the label 1 only"),
    ],
)
def test_too_few_classes_are_refused(tmp_path, labels, kind, holds):
    texts_with(labels, kind).save_to_disk(tmp_path / "one")
    with pytest.raises(ValueError, match=rf"'label' of split 'train' holds {holds} \(-1 and missing are unlabelled\)"):
        load("hf:one", tmp_path)


def test_rows_without_a_label_are_learned_from(tmp_path):
    said = ["cat", "dog", None, None] * 6
    pictures_of([png(8, 10 * i) for i in range(24)], said).save_to_disk(tmp_path / "im")
    run = Run(data="hf:im,label=what", data_root=str(tmp_path), models=("cnn:width=2",), batch=4, epochs=2)
    records = list(train(run.replace(unlabelled=4, execute="loop", device="cpu")))
    assert any(record.kind == "step" for record in records)
    assert records[-1].lines
    with pytest.raises(ValueError, match="unlabelled"):
        list(train(run.replace(unlabelled=13, execute="loop", device="cpu")))
