"""Files that would be waited for without end, and images that would take all memory, are errors that name them."""

import multiprocessing
import os
import signal
import threading
from types import SimpleNamespace

import pytest
from PIL import Image

from codistill.data.images import workers
from codistill.data.images.cut import PIXELS, Cut, Unreadable, check_pixels, open_image
from codistill.data.images.lazy import FileNames, LazyImages


@pytest.fixture
def images(tmp_path):
    for number in range(8):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    names = FileNames.of(tmp_path, [f"{number}.png" for number in range(8)])
    return LazyImages(names, Cut(8, 8, how="same"), "pictures", workers=2)


def test_a_pipe_in_the_place_of_an_image_is_not_waited_for(images, tmp_path):
    (tmp_path / "3.png").unlink()
    os.mkfifo(tmp_path / "3.png")
    with pytest.raises(Unreadable, match=r"3.png cannot be read \(it is no ordinary file\)"):
        list(workers.in_order(images, 2))


def test_images_of_very_many_pixels_are_refused_unless_asked_for(tmp_path, monkeypatch):
    Image.new("1", (2000, 1000)).save(tmp_path / "large.png")
    monkeypatch.setenv(PIXELS, "1000000")
    with pytest.raises(Unreadable, match=r"2,000,000 pixels, at most 1,000,000; .* set CODISTILL_MAX_PIXELS=2000000"):
        open_image(tmp_path / "large.png")
    monkeypatch.setenv(PIXELS, "2000000")
    assert open_image(tmp_path / "large.png").size == (2000, 1000)


def test_an_image_of_169_megapixels_is_refused_as_it_is_delivered(monkeypatch):
    monkeypatch.delenv(PIXELS, raising=False)
    check_pixels(SimpleNamespace(width=9000, height=9000))
    with pytest.raises(ValueError, match=r"169,000,000 pixels, at most 89,478,485; .* CODISTILL_MAX_PIXELS=169000000"):
        check_pixels(SimpleNamespace(width=13_000, height=13_000))


def test_a_process_that_hangs_ends_in_an_error_and_is_left_nowhere(images, monkeypatch):
    batches = workers.feed(images, ((number[None], None) for number in endless()))
    next(batches)
    children = multiprocessing.active_children()
    for child in children:
        os.kill(child.pid, signal.SIGSTOP)
    monkeypatch.setenv(workers.PATIENCE, "0.5")  # only now: until they have started may take longer
    guard = threading.Timer(60, lambda: [child.kill() for child in children])
    guard.start()
    with pytest.raises(
        ChildProcessError, match=r"pictures: no images for 0.5 s, of .*\d.png ...: the disk, or a process"
    ):
        for _ in batches:
            pass
    guard.cancel()
    for child in children:
        child.join(10)
        assert not child.is_alive()


def endless():
    import torch

    while True:
        yield from torch.arange(8)
