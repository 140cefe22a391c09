"""Images and texts read by the functions that model cards show, against the package's own preprocessing."""

import dataclasses
import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from codistill.data.images.cut import Cut
from codistill.deployment.config import steps_of
from codistill.deployment.preprocessing import Preprocessing
from codistill.deployment.standalone import as_input, read_image
from test_description import DESCRIBED

SIZES = ((8, 8), (31, 17), (5, 40), (40, 3), (13, 12))
MODES = ("RGB", "L", "RGBA", "P", "LA", "1")


def image(size, mode, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    found = Image.fromarray(pixels)
    if mode in ("RGBA", "LA"):
        found.putalpha(Image.fromarray(pixels[..., 0]))
    return found.convert(mode)


def form(cut, **changes):
    """What the config says of the input."""
    about = described(cut)
    known = {"dtype": "uint8", "mean": about.mean, "std": about.std, "normalised_by": "the model"}
    return {"input": {**known, **changes, "steps": steps_of(Preprocessing(about).cut)}}


def described(cut):
    channels = 1 if cut.grey else 3
    return dataclasses.replace(
        DESCRIBED, shape=(channels, cut.height, cut.width), mean=(0.4,) * channels, std=(0.3,) * channels, cut=cut
    )


@pytest.mark.parametrize("how", ["resize", "fit", "stretch", "same"])
def test_it_is_the_packages_own_for_every_rule(how, tmp_path):
    path = tmp_path / "image.png"
    for number, (size, mode, grey, invert) in enumerate(itertools.product(SIZES, MODES, (True, False), (True, False))):
        cut = Cut(8, 6, grey, invert, how=how)
        image(size, mode, number).save(path)
        raw = Preprocessing(described(cut)).raw(path)
        assert np.array_equal(read_image(path, form(cut)), raw.numpy()), (size, mode, grey, invert)


def test_floats_are_scaled_and_normalised_where_the_program_does_not(tmp_path):
    cut, path = Cut(8, 8, how="fit"), tmp_path / "image.png"
    image((20, 30), "RGB").save(path)
    ours = Preprocessing(described(cut))
    theirs = torch.from_numpy(read_image(path, form(cut, dtype="float32")))
    torch.testing.assert_close(theirs, ours.raw(path).float() / 255)
    theirs = torch.from_numpy(read_image(path, form(cut, dtype="float32", normalised_by="the caller")))
    torch.testing.assert_close(theirs, ours(path))


def test_the_page_shows_it():
    page = Path(__file__).parents[2].joinpath("docs", "using.md").read_text(encoding="utf-8")
    assert all(inspect.getsource(each) in page for each in (read_image, as_input))


def test_the_steps_say_all_that_they_do():
    words = {word for how in ("resize", "fit", "stretch") for step in steps_of(Cut(8, 8, how=how)) for word in step}
    assert {"mode", "transparency", "orientation", "interpolation", "antialias", "size", "padding", "edges"} <= words
    (convert, resize, crop) = steps_of(Cut(224, 224))
    assert (resize["short_side"], resize["interpolation"], crop["size"]) == (256, "bilinear", [224, 224])
    assert convert["mode"] == "RGB"
