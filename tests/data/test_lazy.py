import os
import pickle
import warnings
from pathlib import Path

import pytest
import torch

from codistill.caching import CACHE
from codistill.data.images import cut as module, lazy
from codistill.data.images.cut import Cut, Unreadable
from codistill.data.images.lazy import FileNames, LazyImages, readable
from small_images import save, spoil


def some(root, n=6, cut=None, **options):
    """LazyImages of two folders, the first half in ``a``."""
    names = [f"{'ab'[i >= n // 2]}/{i}.png" for i in range(n)]
    for i, name in enumerate(names):
        save(root / name, level=10 * (i + 1))
    return LazyImages(FileNames.of(root, names), cut or Cut(8, 8), name="set", **options)


def levels(x):
    return x[:, 0, 0, 0].tolist()


def test_images_look_like_the_tensor_that_they_would_be(tmp_path):
    x = some(tmp_path)
    assert x.shape == (6, 3, 8, 8)
    assert x.ndim == 4
    assert len(x) == 6
    assert x.dtype == torch.uint8
    assert not x.is_floating_point()
    assert levels(x[torch.tensor([4, 0, 0])]) == [50, 10, 10]
    assert levels(x[2:5]) == [30, 40, 50]
    assert len(x[0:0]) == 0


def test_taking_a_part_reads_nothing_and_parts_of_parts_are_right(tmp_path, monkeypatch):
    x = some(tmp_path)
    monkeypatch.setattr(module, "open_image", lambda *_: pytest.fail("a file was opened"))
    part = x.take(torch.tensor([5, 3, 1])).take(torch.tensor([2, 0])).to("cpu").shared(2)
    assert [part.files.path(i).name for i in range(2)] == ["1.png", "5.png"]
    assert part.shape == (2, 3, 8, 8)
    assert len(x) == 6


def test_only_what_is_asked_for_is_opened(tmp_path, monkeypatch):
    x = some(tmp_path)
    opened, before = [], module.open_image
    monkeypatch.setattr(module, "open_image", lambda path: opened.append(path.name) or before(path))
    x[torch.tensor([4, 2])]
    assert opened == ["4.png", "2.png"]


def test_workers_are_shared_out_and_one_is_left_to_each(tmp_path):
    x = some(tmp_path, workers=7)
    assert [x.shared(n).workers for n in (1, 2, 3, 20)] == [7, 3, 2, 1]
    assert some(tmp_path).shared(3).workers == 0


def test_the_names_of_a_million_files_are_a_few_bytes_each():
    names = [f"n{i % 1000:08}/n{i % 1000:08}_{i}.JPEG" for i in range(20_000)]
    files = FileNames.of(Path("root"), names)
    assert len(pickle.dumps(files)) < 45 * len(names)
    assert [files.path(i) for i in (0, 1, 19_999)] == [Path("root") / names[i] for i in (0, 1, -1)]
    assert len(FileNames.of(Path("root"), [])) == 0


def test_names_that_are_no_text_come_back_as_they_were():
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    assert FileNames.of(Path("root"), ["x", name]).path(1) == Path("root") / name


def test_an_unreadable_image_is_named(tmp_path):
    x = some(tmp_path)
    spoil(x.files.path(3))
    x[0:3]
    with pytest.raises(Unreadable, match=r"3\.png cannot be read"):
        x[2:5]


# Which can be read ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tried(monkeypatch, tmp_path_factory):
    """Names of the files that were decoded; the outcome for any number of them is kept."""
    seen, look = [], module.open_image
    monkeypatch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(lazy, "MANY", 1)
    monkeypatch.setattr(lazy, "open_image", lambda path: seen.append(path.name) or look(path))
    return seen


def test_what_cannot_be_read_is_found_counted_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "PIECE", 4)
    x = some(tmp_path)
    assert readable(x.files, "set").tolist() == [True] * 6
    spoil(x.files.path(3))
    x.files.path(0).write_bytes(b"")
    with pytest.warns(UserWarning, match=rf"set: 2 of 6 images in {tmp_path} cannot be used.*a/0\.png; .*b/3\.png"):
        assert readable(x.files, "set").tolist() == [False, True, True, False, True, True]


def test_the_second_time_nothing_is_decoded_and_the_warning_comes_all_the_same(tmp_path, tried, capsys):
    files = some(tmp_path).files
    spoil(tmp_path / "a" / "1.png")
    for _ in range(2):
        with pytest.warns(UserWarning, match="set: 1 of 6 images"):
            assert readable(files, "set").tolist() == [True, False, True, True, True, True]
        assert sorted(tried) == [f"{i}.png" for i in range(6)]
    shown = capsys.readouterr()
    assert shown.err.count("set: checking all images") == 1
    assert not shown.out


def repaired(root):
    save(root / "a" / "1.png", level=99)


def touched(root):
    os.utime(root / "b" / "4.png", (1, 1))


def gone(root):
    (root / "b" / "5.png").unlink()


@pytest.mark.parametrize(("change", "bad"), [(repaired, []), (touched, [1]), (gone, [1, 5])])
def test_where_a_file_changes_all_are_looked_at_again(tmp_path, tried, change, bad):
    files = some(tmp_path).files
    spoil(tmp_path / "a" / "1.png")
    with pytest.warns(UserWarning, match="cannot be used"):
        readable(files, "set")
    change(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (~readable(files, "set")).nonzero().flatten().tolist() == bad
    assert len(tried) == 12


def test_another_list_of_files_is_looked_at_again(tmp_path, tried):
    files = some(tmp_path).files
    readable(files, "set")
    assert len(readable(FileNames.of(tmp_path, ["a/0.png", "a/2.png"]), "set")) == 2
    assert len(tried) == 8


def test_parts_of_the_files_have_their_names(tmp_path):
    names = ["a", "b/cc", "é.png", "d"]
    files = FileNames.of(tmp_path, names)
    assert [files.path(i) for i in range(4)] == [tmp_path / name for name in names]
    some = files.take(torch.tensor([3, 1]))
    assert [some.path(i) for i in range(2)] == [tmp_path / "d", tmp_path / "b" / "cc"]
