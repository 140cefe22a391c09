import multiprocessing
import os
import shutil
import time

import numpy as np
import pytest
import torch
from PIL import Image

from codistill.caching import CACHE
from codistill.data import imagenet as module, load
from codistill.data.imagenet import imagenet
from codistill.data.images import class_folders, lazy
from codistill.data.images.cut import Unreadable
from codistill.data.images.lazy import LazyImages
from codistill.run import Run
from codistill.training.loop import train
from small_images import age, imagenet_tree, save, spoil


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    return imagenet_tree(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture
def own(tmp_path):
    return imagenet_tree(tmp_path, classes=2, train=3, val=2)


def test_the_official_folders_are_the_parts(official):
    data = imagenet(official, size=16, workers=0)
    assert data.names == ("n01440764", "n01440765", "n01440766")
    assert data.classes == 3
    assert data.train.x.shape == (24, 3, 16, 16)
    assert data.train.y.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert data.test.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.train.x.files.path(9) == official / "train" / "n01440765" / "n01440765_1.JPEG"
    assert data.mean == (0.485, 0.456, 0.406)
    assert data.std == (0.229, 0.224, 0.225)


def test_a_test_image_is_its_centre(official):
    data = imagenet(official, size=28, workers=0)
    with Image.open(data.test.x.files.path(5)) as image:  # 34 x 50
        naive = np.array(image.resize((32, 47), Image.Resampling.BILINEAR).crop((2, 10, 30, 38)))
    assert torch.equal(data.test.x[5:6][0], torch.from_numpy(naive).permute(2, 0, 1))


def test_the_folder_of_folders_may_be_named(official, tmp_path):
    (tmp_path / "imagenet").symlink_to(official)
    assert len(imagenet(tmp_path, size=16, workers=0).train) == 24


def test_options_come_with_the_spec(official):
    data = load("imagenet:size=16,workers=3,area=0.25", official)
    assert isinstance(data.train.x, LazyImages)
    assert data.train.x.workers == data.test.x.workers == 3
    assert data.train.x.cut.area == 0.25


def test_nothing_is_read_before_it_is_asked_for(official, monkeypatch):
    monkeypatch.setattr("codistill.data.images.cut.open_image", lambda *_: pytest.fail("a picture was opened"))
    imagenet(official, workers=0)


# The list is kept -----------------------------------------------------------------------------------------------------


@pytest.fixture
def scans(monkeypatch):
    """Classes that were looked into; lists of any length are kept."""
    seen, look = [], class_folders.image_files
    monkeypatch.setattr(module, "MANY", 1)
    monkeypatch.setattr(class_folders, "image_files", lambda *a: seen.append(a[1]) or look(*a))
    return seen


def contents(root):
    data = imagenet(root, size=16, workers=0)
    return [(data.train.x.files.path(i).name, int(y)) for i, y in enumerate(data.train.y)]


def test_the_second_start_looks_into_no_folder(own, scans):
    age(own)
    first = contents(own)
    assert len(scans) == 4
    assert contents(own) == first
    assert len(scans) == 4


def gone(root):
    (root / "train" / "n01440764" / "n01440764_0.JPEG").unlink()


def more(root):
    save(root / "train" / "n01440764" / "new.JPEG")


def renamed(root):
    path = root / "train" / "n01440765" / "n01440765_0.JPEG"
    path.rename(path.with_name("other.JPEG"))


def another_class(root):
    save(root / "train" / "n2" / "a.JPEG")
    save(root / "val" / "n2" / "a.JPEG")


def within(root):
    save(root / "train" / "n01440764" / "deep" / "a.JPEG")


@pytest.mark.parametrize("change", [gone, more, renamed, another_class, within])
def test_a_list_that_is_stale_is_made_again(own, scans, change):
    age(own)
    before = contents(own)
    change(own)
    after = contents(own)
    assert after != before
    assert sorted(name for name, _ in after) == sorted(p.name for p in (own / "train").rglob("*.JPEG"))


def test_a_list_of_folders_that_have_just_changed_is_not_trusted(own, scans):
    age(own)
    now = time.time()
    os.utime(own / "train" / "n01440764", (now, now))
    contents(own)
    contents(own)
    assert scans.count("n01440764") == 3  # twice in train; once in val, which is old


# What can be wrong ----------------------------------------------------------------------------------------------------


def test_a_corrupt_image_is_named_when_it_is_read(own):
    bad = spoil(own / "train" / "n01440764" / "n01440764_1.JPEG")
    data = imagenet(own, size=16, workers=0)
    with pytest.raises(Unreadable, match=rf"{bad} cannot be read \(.*truncated.*skip_bad=true"):
        data.train.x[0:3]


def test_bad_images_are_left_out_of_both_parts_and_counted_where_that_is_asked_for(own):
    spoil(own / "train" / "n01440764" / "n01440764_1.JPEG")
    (own / "val" / "n01440765" / "ILSVRC2012_val_00000003.JPEG").write_bytes(b"")
    with pytest.warns(UserWarning, match="cannot be used") as said:
        data = imagenet(own, size=16, workers=0, skip_bad=True)
    assert [str(warning.message).partition(" and are")[0] for warning in said] == [
        f"imagenet: 1 of 6 images in {own / 'train'} cannot be used",
        f"imagenet: 1 of 4 images in {own / 'val'} cannot be used",
    ]
    names = [data.train.x.files.path(i).name for i in range(len(data.train))]
    assert names[:2] == ["n01440764_0.JPEG", "n01440764_2.JPEG"]
    assert data.train.y.tolist() == [0, 0, 1, 1, 1]
    assert [data.test.x.files.path(i).name[-6:-5] for i in range(len(data.test))] == [
        "1",
        "2",
        "4",
    ]
    assert data.test.y.tolist() == [0, 0, 1]
    assert len(data.train.x[0:5]) == 5
    assert len(data.test.x[0:3].flatten(1).unique(dim=0)) == 3


def test_results_count_what_was_evaluated(own):
    spoil(own / "val" / "n01440764" / "ILSVRC2012_val_00000001.JPEG")
    run = RUN.replace(data="imagenet:size=16,workers=0,skip_bad=true", data_root=str(own), epochs=1)
    with pytest.warns(UserWarning, match="1 of 4 images"):
        records = list(train(run))
    assert {line["n"] for line in records[-1].lines if "n" in line} == {3}


def test_a_class_of_which_one_part_has_only_bad_images_is_left_out_of_both(own):
    save(own / "train" / "n0" / "a.JPEG")
    (own / "val" / "n0").mkdir()
    (own / "val" / "n0" / "b.JPEG").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out") as said:
        data = imagenet(own, size=16, workers=0, skip_bad=True)
    assert [str(warning.message).partition(f" {own}")[0] for warning in said] == [
        "imagenet: 1 of 5 images in",
        "imagenet: 1 of 3 classes in",
    ]
    assert data.names == ("n01440764", "n01440765")
    assert data.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.train.x.files.path(0).parent.name == "n01440764"
    assert data.test.y.tolist() == [0, 0, 1, 1]


def test_the_second_start_that_leaves_out_bad_images_decodes_none(own, monkeypatch):
    monkeypatch.setattr(lazy, "MANY", 1)
    bad = spoil(own / "val" / "n01440764" / "ILSVRC2012_val_00000001.JPEG")
    for _ in range(2):
        with pytest.warns(UserWarning, match=bad.name):
            assert len(imagenet(own, size=16, workers=0, skip_bad=True).test) == 3
        monkeypatch.setattr(lazy, "open_image", lambda *_: pytest.fail("a picture was opened"))


def test_an_empty_class_is_named_and_left_out_where_that_is_asked_for(own):
    (own / "train" / "n0").mkdir()
    shutil.copytree(own / "val" / "n01440764", own / "val" / "n0")
    with pytest.raises(FileNotFoundError, match=r"imagenet: class 'n0' has no images in .*train/n0.*skip_bad=true"):
        imagenet(own, workers=0)
    with pytest.warns(UserWarning, match=r"imagenet: 1 of 3 classes in .*left out: class 'n0'"):
        data = imagenet(own, size=16, workers=0, skip_bad=True)
    assert data.names == ("n01440764", "n01440765")
    assert data.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.test.y.tolist() == [0, 0, 1, 1]
    assert data.test.x.files.path(0).parent.name == "n01440764"


def test_classes_that_differ_are_named(own):
    (own / "val" / "n01440765").rename(own / "val" / "n9")
    with pytest.raises(ValueError, match="imagenet: .* differ in classes.*n01440765, n9"):
        imagenet(own, workers=0)


def test_a_validation_part_without_class_folders_is_explained(own):
    shutil.rmtree(own / "val")
    save(own / "val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(
        FileNotFoundError, match="imagenet: .*val holds 1 images and no folders: put the images of each"
    ):
        imagenet(own, workers=0)


def test_a_folder_called_like_an_image_is_named(own):
    (own / "train" / "n01440764" / "odd.jpeg").mkdir()
    data = imagenet(own, size=16, workers=0)
    with pytest.raises(Unreadable, match=r"odd\.jpeg cannot be read \(.*Is a directory"):
        data.train.x[0:4]


def test_other_files_are_passed_over(own):
    (own / "train" / "n01440764" / "notes.txt").write_text("")
    (own / "train" / "n01440764" / ".hidden.JPEG").write_text("")
    (own / "train" / ".cache").mkdir()
    (own / "train" / "list.txt").write_text("")
    assert len(imagenet(own, workers=0).train) == 6


def test_where_it_was_looked_for_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"imagenet was not found; looked for") as error:
        imagenet(tmp_path)
    for place in (tmp_path / "train", tmp_path / "imagenet" / "val"):
        assert str(place) in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 4}, "imagenet: size=4: give a whole number of at least 8"),
        ({"area": 0}, "imagenet: area=0: give a number above 0"),
        ({"area": True}, "imagenet: area=True"),
        ({"workers": -1}, "imagenet: workers=-1"),
        ({"skip_bad": 1}, "imagenet: skip_bad=1: use true or false"),
        ({"download": True}, "imagenet: download=True.*nothing to fetch.*name the folder that holds train/"),
    ],
)
def test_an_option_out_of_range_is_named(own, options, said):
    with pytest.raises(ValueError, match=said):
        imagenet(own, **options)


# Training on it -------------------------------------------------------------------------------------------------------

RUN = Run(models=("cnn:width=2",), augment=("flip",), batch=4, epochs=2, execute="loop", device="cpu")


def finished(official, workers, **changes):
    """Terms of every step and the results of a run."""
    run = RUN.replace(data=f"imagenet:size=16,workers={workers}", data_root=str(official), **changes)
    records = list(train([run, run.replace(seed=3)]))
    terms = [{n: t.tolist() for n, t in member.items()} for r in records if r.kind == "step" for member in r.terms]
    assert not multiprocessing.active_children()
    return terms, records[-1].lines


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": 12, "valid": 3, "unlabelled": 2, "evaluate_every": 1},
        {"method": "ddgsd", "peers": 1},
        {"method": "codistillation", "shards": True, "batch": 3, "drop_last": True},
        {"update": "fresh_batch"},
        {"method": "cskd", "peers": 1},
    ],
    ids=lambda changes: " ".join(f"{k}={v}" for k, v in changes.items()),
)
def test_training_is_the_same_for_any_number_of_workers(official, changes):
    assert finished(official, 0, **changes) == finished(official, 2, **changes)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_that_was_left_in_the_middle_of_an_epoch_ends_where_an_unbroken_one_does(
    official, tmp_path, workers
):
    run = RUN.replace(data=f"imagenet:size=16,workers={workers}", data_root=str(official))
    whole = list(train(run, tmp_path / "whole"))
    records = train(run, tmp_path / "broken")
    for record in records:
        if record.kind == "step" and record.step == 8:
            break
    records.close()
    assert not multiprocessing.active_children()
    rest = list(train(run, tmp_path / "broken", resume=True))
    assert rest[0].step == 8
    for one, other in zip(
        [r for r in whole if r.kind == "step"][8:], [r for r in rest if r.kind == "step"], strict=True
    ):
        assert all(torch.equal(one.terms[0][name], other.terms[0][name]) for name in one.terms[0])
    assert whole[-1].lines == rest[-1].lines
