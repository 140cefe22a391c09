import pytest
import torch

from codistill.caching import CACHE, digest
from codistill.data.disk_cache import cached, stamp


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Counts how often something is made, and gives it a note."""

    def __init__(self, note="n"):
        self.calls, self.note = 0, note

    def __call__(self):
        self.calls += 1
        return {"x": torch.arange(6).view(2, 3).t()}, self.note


def get(make, root, *options, fresh="n"):
    return cached("kind", root, options, fresh=fresh.__eq__, make=make)["x"]


def test_what_was_made_is_found_again(tmp_path):
    make = Maker()
    first, second = get(make, tmp_path, 1), get(make, tmp_path, 1)
    assert make.calls == 1
    assert torch.equal(first, second)
    assert torch.equal(second, torch.tensor([[0, 3], [1, 4], [2, 5]]))


def test_other_options_and_roots_are_kept_beside_it(tmp_path):
    make = Maker()
    for root, option in ((tmp_path, 1), (tmp_path, 2), (tmp_path / "other", 1)):
        get(make, root, option)
        get(make, root, option)
    assert make.calls == 3


def test_what_is_stale_is_made_again_and_replaced(tmp_path, cache):
    get(Maker("old"), tmp_path, fresh="old")
    make = Maker("new")
    get(make, tmp_path, fresh="new")
    get(make, tmp_path, fresh="new")
    assert make.calls == 1
    assert len(list(cache.iterdir())) == 1


def test_what_has_no_note_is_not_kept(tmp_path, cache):
    make = Maker(None)
    get(make, tmp_path)
    get(make, tmp_path)
    assert make.calls == 2
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", b"not of this kind", None])
def test_a_damaged_file_is_made_again(tmp_path, cache, content):
    get(Maker(), tmp_path)
    (path,) = cache.iterdir()
    path.write_bytes(path.read_bytes()[:-5] if content is None else content)
    make = Maker()
    get(make, tmp_path)
    get(make, tmp_path)
    assert make.calls == 1


def test_where_nothing_can_be_written_it_is_made_each_time(tmp_path, cache):
    cache.write_text("a file in the way")
    make = Maker()
    get(make, tmp_path)
    get(make, tmp_path)
    assert make.calls == 2


def test_an_empty_name_turns_it_off(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, "")
    make = Maker()
    get(make, tmp_path)
    get(make, tmp_path)
    assert make.calls == 2


def test_without_a_name_it_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(CACHE)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    get(Maker(), tmp_path)
    assert len(list((tmp_path / "home" / ".cache" / "codistill" / "kept").iterdir())) == 1


def test_a_stamp_differs_when_a_file_does_and_tells_that_one_is_gone(tmp_path):
    path = tmp_path / "file"
    gone = stamp(path)
    path.write_text("one")
    first = stamp(path)
    path.write_text("three")
    assert len({gone, first, stamp(path)}) == 3


def test_a_digest_tells_lines_apart():
    assert digest(["a", "b"]) == digest(iter(["a", "b"]))
    assert len({digest(lines) for lines in (["a", "b"], ["b", "a"], ["a"], [], ["a\udce9"])}) == 5
