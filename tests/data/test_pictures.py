import pickle
import warnings
from pathlib import Path

import pytest
import torch

from codistill.data import cut as module
from codistill.data.cut import Cut, Unreadable
from codistill.data.pictures import Files, Pictures
from small_pictures import save, spoil


def some(root, n=6, cut=None, **options):
    """Pictures of two folders, the first half in ``a``."""
    names = [f"{'ab'[i >= n // 2]}/{i}.png" for i in range(n)]
    for i, name in enumerate(names):
        save(root / name, level=10 * (i + 1))
    return Pictures(Files.of(root, names), cut or Cut(8, 8), name="set", **options)


def levels(x):
    return x[:, 0, 0, 0].tolist()


def test_pictures_look_like_the_tensor_that_they_would_be(tmp_path):
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
    monkeypatch.setattr(module, "open_picture", lambda *_: pytest.fail("a file was opened"))
    part = x.take(torch.tensor([5, 3, 1])).take(torch.tensor([2, 0])).to("cpu").shared(2)
    assert [part.path(i).name for i in range(2)] == ["1.png", "5.png"]
    assert part.shape == (2, 3, 8, 8)
    assert len(x) == 6


def test_only_what_is_asked_for_is_opened(tmp_path, monkeypatch):
    x = some(tmp_path)
    opened, before = [], module.open_picture
    monkeypatch.setattr(module, "open_picture", lambda path, mode: opened.append(path.name) or before(path, mode))
    x[torch.tensor([4, 2])]
    assert opened == ["4.png", "2.png"]


def test_workers_are_shared_out_and_one_is_left_to_each(tmp_path):
    x = some(tmp_path, workers=7)
    assert [x.shared(n).workers for n in (1, 2, 3, 20)] == [7, 3, 2, 1]
    assert some(tmp_path).shared(3).workers == 0


def test_the_names_of_a_million_files_are_a_few_bytes_each():
    names = [f"n{i % 1000:08}/n{i % 1000:08}_{i}.JPEG" for i in range(20_000)]
    files = Files.of(Path("root"), names)
    assert len(pickle.dumps(files)) < 45 * len(names)
    assert [files.name(i) for i in (0, 1, 19_999)] == [names[0], names[1], names[-1]]
    assert len(Files.of(Path("root"), [])) == 0


def test_names_that_are_no_text_come_back_as_they_were():
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    assert Files.of(Path("root"), ["x", name]).name(1) == name


def test_an_unreadable_picture_is_named(tmp_path):
    x = some(tmp_path)
    spoil(x.path(3))
    x[0:3]
    with pytest.raises(Unreadable, match=r"3\.png cannot be read"):
        x[2:5]


def test_where_it_is_asked_for_the_nearest_of_the_folder_stands_in_and_is_counted_once(tmp_path):
    x = some(tmp_path, skip_bad=True)
    for i in (0, 3):
        x.path(i).write_bytes(b"")
    with pytest.warns(UserWarning, match="cannot be read, another") as said:
        assert levels(x[0:6]) == [20, 20, 30, 50, 50, 60]
    assert len(said) == 2
    assert "0.png cannot be read, another picture of its folder takes its place (1 of 6 so far)" in str(said[0].message)
    assert "3.png" in str(said[1].message)
    assert "(2 of 6 so far)" in str(said[1].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert levels(x.take(torch.tensor([0, 2]))[0:2]) == [30, 30]  # the nearest of what is left; said already


def test_a_folder_without_a_single_readable_picture_is_named(tmp_path):
    x = some(tmp_path, skip_bad=True)
    for i in range(3):
        x.path(i).write_bytes(b"")
    with pytest.raises(Unreadable, match=rf"set: no picture in {tmp_path / 'a'} can be read"):
        x[0:1]
