import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from codistill.data.images.cut import TRIES, Cut, Unreadable, open_image
from codistill.randomness import generator
from small_images import save, spoil


def levels(x):
    return x[:, 0, 0, 0].tolist()


# Reading --------------------------------------------------------------------------------------------------------------


def test_reading_brings_the_short_side_to_8_sevenths_and_takes_the_centre(tmp_path):
    path = save(tmp_path / "a.png", size=(90, 60))
    with Image.open(path) as image:
        naive = image.resize((48, 32), Image.Resampling.BILINEAR).crop((10, 2, 38, 30))
    ours = Cut(28, 28).read(path)
    assert torch.equal(ours, torch.from_numpy(np.array(naive)).permute(2, 0, 1))


def test_a_tall_image_and_one_that_is_too_small_come_to_size_too(tmp_path):
    for name, size in (("tall.png", (20, 90)), ("tiny.png", (1, 1)), ("thin.png", (1, 50))):
        assert Cut(28, 28).read(save(tmp_path / name, size=size)).shape == (3, 28, 28)


def test_stretching_uses_the_whole_image(tmp_path):
    path = save(tmp_path / "a.png", size=(64, 128))
    with Image.open(path) as image:
        naive = np.array(image.resize((20, 30), Image.Resampling.BILINEAR))
    assert torch.equal(Cut(30, 20, how="stretch").read(path), torch.from_numpy(naive).permute(2, 0, 1))


def test_a_drawn_part_is_what_its_box_holds(tmp_path):
    path, cut = save(tmp_path / "a.png", size=(90, 60)), Cut(16, 16, area=0.1)
    draw = cut.draws(3, generator(5, "cut"))[1]
    with Image.open(path) as image:
        naive = np.array(image.resize((16, 16), Image.Resampling.BILINEAR, box=cut.drawn(90, 60, draw)))
    assert torch.equal(cut.read(path, draw), torch.from_numpy(naive).permute(2, 0, 1))


def test_without_an_area_nothing_is_drawn():
    assert Cut(8, 8).draws(3, generator(0)) is None


def naive_box(width, height, area, draw):
    draw = [float(v) for v in draw]
    for i in range(TRIES):
        part = (area + (1 - area) * draw[2 * i]) * width * height
        ratio = math.exp(math.log(3 / 4) + draw[2 * i + 1] * (math.log(4 / 3) - math.log(3 / 4)))
        w, h = round((part * ratio) ** 0.5), round((part / ratio) ** 0.5)
        if w <= width and h <= height and w and h:
            x, y = math.floor(draw[-2] * (width - w + 1)), math.floor(draw[-1] * (height - h + 1))
            return x, y, x + w, y + h
    return None


def test_drawn_parts_have_the_areas_shapes_and_places_that_they_should():
    cut = Cut(8, 8, area=0.08)
    boxes = []
    for draw in cut.draws(400, generator(1)):
        box = cut.drawn(500, 375, draw)
        assert box == naive_box(500, 375, 0.08, draw)
        boxes.append(box)
    left, top, right, bottom = torch.tensor(boxes).unbind(1)
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= 500
    assert bottom.max() <= 375
    area, ratio = (right - left) * (bottom - top) / (500 * 375), (right - left) / (bottom - top)
    assert 0.075 < area.min() < 0.12
    assert area.max() > 0.8
    assert 0.74 < ratio.min() < 0.78
    assert 1.28 < ratio.max() < 1.35
    assert left.float().std() > 40


@pytest.mark.parametrize(("width", "height"), [(1000, 3), (3, 1000), (1, 1)])
def test_an_image_that_no_part_fits_into_gives_its_greatest_centre(width, height):
    cut = Cut(8, 8, area=1.0)
    left, top, right, bottom = cut.drawn(width, height, torch.full((2 * TRIES + 2,), 0.9))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert abs((left + right) - width) <= 1
    assert abs((top + bottom) - height) <= 1
    if max(width, height) > 1:
        assert (right - left) / (bottom - top) == (4 / 3 if width > height else 3 / 4)


# Bad and unusual files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "LA", "P", "PA", "1", "RGBA", "CMYK", "YCbCr"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    path = tmp_path / "a.tif"
    white = Image.new("RGB", (20, 20), (255, 255, 255))
    (white.convert("P").convert(mode) if mode == "PA" else white.convert(mode)).save(path)
    assert (Cut(8, 8).read(path) >= 254).all()


def test_a_cmyk_jpeg_is_read(tmp_path):
    Image.new("CMYK", (20, 20), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    assert (Cut(8, 8).read(tmp_path / "a.jpg") >= 254).all()


def test_transparency_in_a_palette_is_no_warning(tmp_path):
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.save(tmp_path / "a.png", transparency=bytes([0, 128]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert levels(Cut(8, 8).read(tmp_path / "a.png")[None]) == [200]


def test_of_an_animated_image_the_first_is_taken(tmp_path):
    frames = [Image.new("L", (20, 20), level) for level in (30, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert levels(Cut(8, 8).read(tmp_path / "a.gif")[None]) == [30]


def sixteen_bits(path):
    Image.fromarray(np.full((4, 4), 40_000, dtype=np.uint16)).save(path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b""), "cannot identify"),
        (lambda path: path.write_bytes(b"text"), "cannot identify"),
        (lambda path: spoil(save(path, size=(64, 64))), "truncated"),
        (Path.mkdir, "Is a directory"),
        (sixteen_bits, "more than 8 bits"),
        (lambda path: None, "No such file"),
    ],
    ids=["empty", "text", "truncated", "folder", "16 bits", "gone"],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, make, said):
    path = tmp_path / "bad.png"
    make(path)
    with pytest.raises(Unreadable, match=rf"{path} cannot be read \(.*{said}.*skip_bad=true") as error:
        open_image(path)
    assert str(error.value).count("bad.png") == 1
