import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from codistill.caching import CACHE
from codistill.data import omniglot as module
from codistill.data.examples import channel_statistics
from codistill.data.images import cut, lazy
from codistill.data.images.cut import Unreadable
from codistill.data.omniglot import omniglot
from small_images import omniglot_tree


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("omniglot")
    omniglot_tree(root)
    return root


@pytest.fixture
def own(tmp_path):
    omniglot_tree(tmp_path, alphabets=2, characters=2, drawers=12)
    return tmp_path


def test_whole_alphabets_are_kept_for_the_test(whole):
    data = omniglot(whole, test_alphabets=1, size=8)
    assert data.classes == 6
    assert Counter(data.train.y.tolist()) == dict.fromkeys(range(6), 20)
    assert len(data.test) == 40
    learnt = {name.split("/")[0] for name in data.names}
    assert len(learnt) == 3
    assert data.names == tuple(sorted(data.names))
    again = omniglot(whole, test_alphabets=1, size=8)
    assert again.names == data.names
    more = omniglot(whole, test_alphabets=2, size=8)
    assert {name.split("/")[0] for name in more.names} < learnt


def test_drawers_are_cameras_and_the_first_ten_are_the_gallery(whole):
    truth = omniglot(whole, test_alphabets=2, size=8).retrieval
    assert len(truth.identity.unique()) == 4
    for identity in truth.identity.unique():
        own = truth.identity == identity
        assert sorted(truth.camera[own].tolist()) == list(range(1, 21))
        assert sorted(truth.camera[own & truth.query].tolist()) == list(range(11, 21))


def test_identities_of_the_test_are_none_of_the_classes(whole):
    data = omniglot(whole, test_alphabets=2, size=105)
    bars = {}
    for x, identity in zip(data.test.x, data.retrieval.identity.tolist(), strict=True):
        bars.setdefault(identity, set()).add(x.numpy().tobytes())
    assert all(len(found) == 1 for found in bars.values())  # a character looks the same by every drawer here
    assert (data.test.y == -1).all()


def test_strokes_are_bright_on_dark_and_made_smaller_smoothly(whole):
    data = omniglot(whole, test_alphabets=1, size=28)
    paths = sorted((whole / "omniglot-py" / "images_background" / data.names[0]).iterdir())
    with Image.open(paths[0]) as image:
        ink = Image.fromarray(255 - np.array(image.convert("L"))).resize((28, 28), Image.Resampling.BILINEAR)
    first = data.train.x[data.train.y == 0][0, 0]
    assert torch.equal(first, torch.from_numpy(np.array(ink)))
    assert first[0].max() == 0
    assert len(first.unique()) - 2 > 0  # and levels between
    assert (data.mean, data.std) == channel_statistics(data.train.x)


def test_images_background_may_lie_in_the_root(whole, tmp_path):
    (tmp_path / "images_background").symlink_to(whole / "omniglot-py" / "images_background")
    assert len(omniglot(tmp_path, test_alphabets=1, size=8).test) == 40


def test_the_second_start_reads_no_image_until_one_changes(own, monkeypatch):
    monkeypatch.setattr(lazy, "MANY", 1)
    read, look = [], cut.open_image
    monkeypatch.setattr(cut, "open_image", lambda path: read.append(path) or look(path))
    first = omniglot(own, test_alphabets=1, size=8)
    assert len(read) == 48
    second = omniglot(own, test_alphabets=1, size=8)
    assert len(read) == 48
    assert torch.equal(first.train.x, second.train.x)
    Image.new("1", (105, 105)).save(read[3])
    third = omniglot(own, test_alphabets=1, size=8)
    assert len(read) == 96
    assert (torch.cat([third.train.x, third.test.x]).flatten(1) == 255).all(1).sum() == 1


# What can be wrong ----------------------------------------------------------------------------------------------------


def first_of(own):
    return min(own.rglob("*.png"))


@pytest.mark.parametrize("many", [1, 1000])
def test_a_corrupt_image_is_named_or_left_out_and_counted(own, monkeypatch, many):
    monkeypatch.setattr(lazy, "MANY", many)
    bad = first_of(own)
    bad.write_bytes(b"")
    with pytest.raises(Unreadable, match=rf"{bad} cannot be read.*skip_bad=true"):
        omniglot(own, test_alphabets=1)
    for _ in range(2):  # the second time from what was kept
        with pytest.warns(UserWarning, match=rf"omniglot: 1 of 48 images in .* cannot be used and are left out: {bad}"):
            data = omniglot(own, test_alphabets=1, skip_bad=True)
        assert len(data.train) + len(data.test) == 47
        assert len(data.retrieval.identity) == len(data.test)
    with pytest.raises(Unreadable, match=rf"{bad} cannot be read"):
        omniglot(own, test_alphabets=1)


def test_another_name_is_named_or_left_out_and_counted(own):
    path = first_of(own)
    bad = path.rename(path.with_name("photo.png"))
    with pytest.raises(ValueError, match=rf"omniglot: {bad}: the name must tell the drawer.*0001_01\.png.*skip_bad"):
        omniglot(own, test_alphabets=1)
    with pytest.warns(UserWarning, match=r"1 of 48 images in .* cannot be used.*photo\.png"):
        assert len(omniglot(own, test_alphabets=1, skip_bad=True).train) in (23, 24)


def test_no_image_at_all_is_explained(own):
    for path in own.rglob("*.png"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"has no images such as <alphabet>/character01/0001_01\.png"):
        omniglot(own)


def test_no_readable_image_at_all_is_explained(own):
    for path in own.rglob("*.png"):
        path.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="48 of 48"),
        pytest.raises(FileNotFoundError, match="none of 48 images in .* can be used"),
    ):
        omniglot(own, skip_bad=True, test_alphabets=1)


def test_a_test_part_without_queries_is_explained(tmp_path):
    omniglot_tree(tmp_path, alphabets=2, drawers=5)
    with pytest.raises(ValueError, match="the test alphabets lack queries"):
        omniglot(tmp_path, test_alphabets=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test_alphabets": 2}, "omniglot: test_alphabets=2: .* holds 2, and training needs one: lower it"),
        ({"test_alphabets": 0}, "omniglot: test_alphabets=0: give a whole number of at least 1"),
        ({"size": 0.5}, "omniglot: size=0.5: give a whole number"),
        ({"skip_bad": 0}, "omniglot: skip_bad=0: use true or false"),
    ],
)
def test_an_option_out_of_range_is_named(own, options, said):
    with pytest.raises(ValueError, match=said):
        omniglot(own, **options)


def test_where_it_was_looked_for_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"(?s)omniglot was not found.*--data-root.*--download") as error:
        omniglot(tmp_path)
    assert str(tmp_path / "omniglot-py" / "images_background") in str(error.value)


def test_it_is_fetched_and_unpacked_where_that_is_asked_for(own, tmp_path_factory, monkeypatch):
    away = tmp_path_factory.mktemp("away")
    packed = Path(shutil.make_archive(str(away / "images_background"), "zip", own / "omniglot-py"))
    monkeypatch.setattr(module, "URL", packed.as_uri())
    monkeypatch.setattr(module, "MD5", hashlib.md5(packed.read_bytes()).hexdigest())
    root = tmp_path_factory.mktemp("fresh")
    data = omniglot(root, download=True, test_alphabets=1, size=8)
    assert torch.equal(data.train.x, omniglot(own, test_alphabets=1, size=8).train.x)
    assert (root / "omniglot-py" / "images_background").is_dir()


REAL = Path(os.environ.get("CODISTILL_DATA") or "nowhere") / "omniglot-py"


@pytest.mark.skipif(not REAL.is_dir(), reason="CODISTILL_DATA names no folder with omniglot-py")
def test_the_real_set_has_964_characters_in_30_alphabets():
    data = omniglot(REAL.parent)
    assert len(data.train) + len(data.test) == 19_280
    assert len(data.train) == 20 * data.classes
    assert len({name.split("/")[0] for name in data.names}) == 20
    assert data.classes + len(data.retrieval.identity.unique()) == 964
    assert int(data.retrieval.query.sum()) == len(data.test) // 2
    assert 0.05 < data.mean[0] < 0.15
