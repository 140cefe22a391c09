import itertools

import pytest
import torch
from torch import nn

from codistill.caching import CACHE
from codistill.cohort import choices
from codistill.cohort.choices import NAME, executor, key_of, threads


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "kept"))
    choices.forget()
    yield tmp_path / "kept"
    choices.forget()


def found(name="stack"):
    return lambda: (name, {"loop": 2.0, "stack": 1.0})


def never():
    raise AssertionError("it was timed again")


def test_an_executor_is_found_once_and_by_the_next_process_on_disk(folder):
    assert executor("a", found()) == ("stack", {"loop": 2.0, "stack": 1.0})
    assert executor("a", never)[0] == "stack"
    choices.forget()
    assert executor("a", never) == ("stack", {"loop": 2.0, "stack": 1.0})
    assert executor("b", found("loop"))[0] == "loop"
    choices.forget()
    assert [executor(key, never)[0] for key in "ab"] == ["stack", "loop"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b'{"a": 3}', b'{"a": {"execute": 3, "seconds": {}}}'])
def test_a_damaged_file_is_made_again(folder, damage):
    folder.mkdir()
    (folder / NAME).write_bytes(damage)
    assert executor("a", found())[0] == "stack"
    choices.forget()
    assert executor("a", never)[0] == "stack"


def test_without_a_folder_or_where_it_cannot_be_written_nothing_is_kept(folder, monkeypatch):
    folder.parent.joinpath("file").write_text("")
    for place in ("", str(folder.parent / "file")):
        monkeypatch.setenv(CACHE, place)
        choices.forget()
        executor("a", found())
        choices.forget()
        with pytest.raises(AssertionError, match="again"):
            executor("a", never)


def test_the_file_keeps_the_newest(folder, monkeypatch):
    monkeypatch.setattr(choices, "MOST", 2)
    for key in "abc":
        executor(key, found())
    choices.forget()
    assert [executor(key, never)[0] for key in "bc"] == ["stack", "stack"]
    with pytest.raises(AssertionError, match="again"):
        executor("a", never)


def test_threads_are_found_once_by_each_process(folder):
    assert threads("a", lambda: (1, {"1": 1.0, "2": 2.0}))[0] == 1
    assert threads("a", never)[0] == 1
    choices.forget()
    assert threads("a", lambda: (2, {}))[0] == 2
    assert not folder.exists()


def test_a_key_differs_with_all_that_matters():
    def nets(width=4, activation=nn.ReLU):
        return [nn.Sequential(nn.Linear(3, width), activation())]

    one, two = torch.zeros(2, 3), torch.zeros(4, 3)
    keys = [
        key_of(nets(), one),
        key_of(nets() * 2, one),
        key_of(nets(5), one),
        key_of(nets(activation=nn.GELU), one),
        key_of(nets(), two),
        key_of(nets(), one.double()),
        key_of(nets(), (one, two)),
        key_of(nets(), one, "channels_last"),
    ]
    assert all(a != b for a, b in itertools.combinations(keys, 2))
    assert key_of(nets(), torch.ones(2, 3)) == keys[0]  # weights and values are other ones, shapes the same
