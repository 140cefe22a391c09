import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from codistill.caching import CACHE
from codistill.data.folder import folder
from codistill.data.images import cut, lazy


def write_image(path, colour=(200, 100, 50), size=(10, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)


def fill(root, **counts):
    """LazyImages of one colour each, its red the number within the class and its green that of the class."""
    for label, (name, n) in enumerate(sorted(counts.items())):
        for i in range(n):
            write_image(root / name / f"{i:02}.png", (i, label, 7))


def test_train_and_test_folders_are_the_parts(tmp_path):
    fill(tmp_path / "train", cat=3, dog=2)
    fill(tmp_path / "test", cat=1, dog=4)
    data = folder(tmp_path, size=4)
    assert data.names == ("cat", "dog")
    assert data.train.x.shape == (5, 3, 4, 4)
    assert data.train.y.tolist() == [0, 0, 0, 1, 1]
    assert data.train.x[:, :, 0, 0].tolist() == [[0, 0, 7], [1, 0, 7], [2, 0, 7], [0, 1, 7], [1, 1, 7]]
    assert Counter(data.test.y.tolist()) == {0: 1, 1: 4}


def test_val_stands_in_for_test(tmp_path):
    fill(tmp_path / "train", cat=3, dog=2)
    fill(tmp_path / "val", cat=1, dog=1)
    assert len(folder(tmp_path).test) == 2


@pytest.mark.parametrize("under", [".", "train"])
def test_without_a_test_folder_a_fixed_stratified_fraction_is_held_out(tmp_path, under):
    fill(tmp_path / under, cat=20, dog=10)
    data, again = folder(tmp_path, size=2, test=0.3), folder(tmp_path, size=2, test=0.3)
    assert Counter(data.test.y.tolist()) == {0: 6, 1: 3}
    assert torch.equal(data.test.x, again.test.x)
    reds = torch.cat([data.train.x, data.test.x])[:, 0, 0, 0]
    assert sorted(reds.tolist()) == sorted([*range(20), *range(10)])


def test_every_class_is_tested_on_however_few_there_are(tmp_path):
    fill(tmp_path, a=2, b=2, c=2)
    data = folder(tmp_path, size=2)
    assert sorted(data.test.y.tolist()) == sorted(data.train.y.tolist()) == [0, 1, 2]


def test_the_short_side_is_resized_and_the_centre_kept(tmp_path):
    for name in ("a", "b"):
        for part in ("train", "test"):
            wide = np.zeros((8, 24, 3), dtype=np.uint8)
            wide[:, 8:16] = 255  # the middle third is white
            path = tmp_path / part / name / "wide.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(wide).save(path)
    assert (folder(tmp_path, size=8).train.x == 255).all()


def test_grey_is_one_channel_and_statistics_are_those_of_training(tmp_path):
    for name, level in (("a", 40), ("b", 60)):
        write_image(tmp_path / "train" / name / "1.jpg", (level,) * 3)
        write_image(tmp_path / "test" / name / "1.bmp", (250,) * 3)
    data = folder(tmp_path, grey=True, size=8)
    assert data.train.x.shape == (2, 1, 8, 8)
    assert data.mean == pytest.approx((50 / 255,))
    assert data.std == pytest.approx((10 / 255,))


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "CMYK"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    for name in ("a", "b"):
        for part in ("train", "test"):
            write_image(tmp_path / part / name / "1.tif", (255, 255, 255), mode=mode)
    assert (folder(tmp_path, size=4).train.x == 255).all()


def test_a_corrupt_image_is_named(tmp_path):
    fill(tmp_path, a=5, b=5)
    bad = tmp_path / "a" / "03.png"
    bad.write_bytes(bad.read_bytes()[:40])
    with pytest.raises(ValueError, match=rf"{bad} cannot be read.*skip_bad=true"):
        folder(tmp_path)


def test_corrupt_images_can_be_left_out_and_are_counted(tmp_path):
    fill(tmp_path, a=5, b=5)
    (tmp_path / "a" / "03.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match=r"1 of 10 images in .* cannot be used.*03\.png"):
        data = folder(tmp_path, size=2, skip_bad=True)
    assert len(data.train) + len(data.test) == 9


def test_more_than_eight_bits_are_refused_and_not_clipped(tmp_path):
    fill(tmp_path, a=2, b=2)
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(tmp_path / "a" / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png cannot be read \(has more than 8 bits"):
        folder(tmp_path)


def test_a_class_whose_images_are_all_corrupt_is_left_out_where_bad_ones_are(tmp_path):
    fill(tmp_path / "train", a=1, b=2, c=3)
    fill(tmp_path / "test", a=2, b=1, c=1)
    (tmp_path / "train" / "a" / "00.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match=r"cannot be used") as said:
        data = folder(tmp_path, size=2, skip_bad=True)
    assert len(said) == 2
    assert data.names == ("b", "c")
    assert data.train.y.tolist() == [0, 0, 1, 1, 1]
    assert data.test.y.tolist() == [0, 1]
    assert data.test.x[:, 1, 0, 0].tolist() == [1, 2]  # the colours of b and c


def test_too_few_classes_with_images_are_an_error_all_the_same(tmp_path):
    fill(tmp_path, a=1, b=2)
    (tmp_path / "a" / "00.png").write_bytes(b"no picture")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="1 of the classes in .* have images: give two or more"):
            folder(tmp_path, skip_bad=True)


def test_a_class_that_only_the_test_part_lacks_is_left_out_of_both(tmp_path):
    fill(tmp_path / "train", a=1, b=2, c=3)
    fill(tmp_path / "test", b=1, c=1)
    (tmp_path / "test" / "a").mkdir()
    with pytest.raises(FileNotFoundError, match="class 'a' has no images in .*test"):
        folder(tmp_path, size=2)
    with pytest.warns(UserWarning, match=r"1 of 3 classes in .*test cannot be used"):
        data = folder(tmp_path, size=2, skip_bad=True)
    assert data.names == ("b", "c")
    assert data.classes == 2
    assert data.train.y.tolist() == [0, 0, 1, 1, 1]
    assert data.test.y.tolist() == [0, 1]


@pytest.fixture
def reads(tmp_path_factory, monkeypatch):
    """LazyImages that were opened; what is decoded is kept whatever its number, in a folder of its own."""
    monkeypatch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(lazy, "MANY", 2)
    seen, look = [], cut.open_image
    monkeypatch.setattr(cut, "open_image", lambda path: seen.append(path) or look(path))
    return seen


def test_the_second_start_decodes_nothing_until_a_file_changes(tmp_path, reads):
    fill(tmp_path, a=4, b=4)
    first = folder(tmp_path, size=2)
    assert len(reads) == 8
    second = folder(tmp_path, size=2)
    assert len(reads) == 8
    assert torch.equal(first.train.x, second.train.x)
    folder(tmp_path, size=3)
    assert len(reads) == 16
    write_image(tmp_path / "a" / "00.png", (99, 0, 0), size=(12, 8))
    third = folder(tmp_path, size=2)
    assert len(reads) == 24
    assert 99 in torch.cat([third.train.x, third.test.x])[:, 0, 0, 0]


def test_corrupt_images_are_counted_at_the_second_start_too_and_named_without_leave(tmp_path, reads):
    fill(tmp_path, a=4, b=4)
    (tmp_path / "a" / "01.png").write_bytes(b"")
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"1 of 8 images in .* cannot be used and are left out: .*01\.png"):
            data = folder(tmp_path, size=2, skip_bad=True)
        assert len(data.train) + len(data.test) == 7
    assert len(reads) == 8
    with pytest.raises(ValueError, match=r"01\.png cannot be read"):
        folder(tmp_path, size=2)


def test_an_empty_class_is_named(tmp_path):
    fill(tmp_path, a=2, b=2)
    (tmp_path / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="class 'c' has no images"):
        folder(tmp_path)


def test_classes_that_differ_between_the_parts_are_named(tmp_path):
    fill(tmp_path / "train", a=2, b=2)
    fill(tmp_path / "test", a=2, c=2)
    with pytest.raises(ValueError, match="differ in classes.*b, c"):
        folder(tmp_path)


def test_hidden_folders_and_other_files_are_passed_over(tmp_path):
    fill(tmp_path, a=2, b=2)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    assert folder(tmp_path, size=2).names == ("a", "b")


@pytest.mark.parametrize(
    ("layout", "error", "said"),
    [
        ({}, FileNotFoundError, "holds no folders"),
        ({"only": {"a": 2}}, ValueError, "one class only"),
        ({"test": {"a": 2, "b": 2}}, ValueError, "has test/ but no train/"),
    ],
)
def test_a_layout_that_cannot_be_read_is_explained(tmp_path, layout, error, said):
    for part, counts in layout.items():
        fill(tmp_path if part == "only" else tmp_path / part, **counts)
    with pytest.raises(error, match=said):
        folder(tmp_path)


def test_no_folder_at_all_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder.*--data-root"):
        folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 0}, "size=0"),
        ({"grey": 1}, "grey=1: use true or false"),
        ({"test": 1.5}, "test=1.5: give a fraction"),
        ({"test": 0.9}, "test=0.9 leaves no example of class 'a'"),
        ({"download": True}, "download=True.*nothing to fetch"),
    ],
)
def test_an_option_out_of_range_is_named(tmp_path, options, said):
    fill(tmp_path, a=1, b=9)
    with pytest.raises(ValueError, match=said):
        folder(tmp_path, **options)
