"""What the most disputed test examples look like, kept when a comparison ends."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from codistill.data.digits import digits
from codistill.data.examples import Examples, Text
from codistill.data.shown import png_address, shortened
from codistill.files import Damaged
from codistill.report.evidence import Evidence
from codistill.report.study_page import disputed_section
from codistill.run import Run
from codistill.study import Study
from codistill.study.disputed import MOST, Disputed, Shown, keep_examples, most_disputed, read_examples
from codistill.training.decisions import Decisions

STUDY = Study("s", Run(peers=2), ("dml",), (0,))


@pytest.fixture(scope="module")
def dataset():
    return digits(Path())


def decided(labels, *, peers=2):
    """Peers that differ on the examples 5, 7, 8 ... alone."""
    classes = labels.repeat(peers, 1)
    classes[1, [5, *range(7, 40)]] = (labels[[5, *range(7, 40)]] + 1) % 10
    return Decisions(classes, labels)


def image_of(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


def test_images_of_the_most_disputed_are_kept(dataset, tmp_path):
    y = dataset.test.y
    kept = {("dml:peers=2", 0, 0): decided(y), ("alone", 0, 0): decided(y.flip(0))}
    keep_examples(STUDY, kept, tmp_path, dataset)
    found = read_examples(tmp_path)
    assert list(found) == [5, *range(7, 7 + MOST - 1)]
    pixels = torch.from_numpy(np.array(image_of(found[7].image)))
    assert torch.equal(pixels, dataset.test.x[7, 0])
    assert (tmp_path / "examples.json").stat().st_size < 6000
    keep_examples(STUDY, {}, tmp_path, None)  # not looked for again
    assert read_examples(tmp_path) == found


def test_texts_of_the_most_disputed_are_kept(dataset, tmp_path):
    x = torch.arange(1, 1 + 41 * 120).view(41, 120)
    part = Examples(x, torch.arange(41) % 10)
    texts = replace(dataset, train=part, test=part, text=Text(vocabulary=9999, tokenizer=""), mean=(), std=())
    keep_examples(STUDY, {("dml:peers=2", 0, 0): decided(texts.test.y)}, tmp_path, texts)
    found = read_examples(tmp_path)
    assert found[5].text.startswith("601 602 603 ")
    assert len(found[5].text) <= 200
    assert found[5].text.endswith("…")


def test_nothing_is_kept_of_what_decisions_do_not_tell(dataset, tmp_path):
    y = dataset.test.y
    for kept in ({}, {("alone", 0, 0): decided(y)}, {("dml:peers=2", 0, 0): decided(y.flip(0))}):
        keep_examples(STUDY, kept, tmp_path, dataset)
    keep_examples(replace(STUDY, part="valid"), {("dml:peers=2", 0, 0): decided(y)}, tmp_path, dataset)
    assert read_examples(tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_data_that_are_gone_are_said_and_no_error(dataset, tmp_path):
    study = replace(STUDY, base=STUDY.base.replace(data="folder", data_root=str(tmp_path / "gone")))
    with pytest.warns(UserWarning, match="its report will show no test examples"):
        keep_examples(study, {("dml:peers=2", 0, 0): decided(dataset.test.y)}, tmp_path, None)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "examples.json").write_text('{"examples": {"x": {}}}')
    with pytest.raises(Damaged, match=r"examples\.json is damaged"):
        read_examples(tmp_path)


def test_large_images_become_thumbnails():
    image = image_of(png_address(torch.rand(3, 300, 200), 80))
    assert image.size == (53, 80)
    assert image_of(png_address(torch.rand(2, 4, 6))).size == (6, 4)  # of two channels the first
    assert shortened(["abc", "abcdef"], 4) == ["abc", "abc…"]


def test_the_page_shows_images_or_texts_beside_their_numbers():
    found = [Disputed(4, 1, ((0, 2), (1, 2)), 0.5), Disputed(2, 0, ((0, 3), (2, 1)), 0.25)]
    evidence = Evidence({}, ["cat", "dog", "eel"], examples={4: Shown("data:image/png;base64,AA"), 9: Shown("other")})
    section = disputed_section(found, evidence)
    assert section.picture.count("<image ") == 1
    assert ">dog<" in section.picture
    assert ">→ cat<" in section.picture
    texts = disputed_section(found, replace(evidence, examples={2: Shown(text="a <film>")}))
    assert texts.picture == ""
    assert [row.cells[-1].main for row in texts.table.rows] == ["", "a <film>"]
    assert len(disputed_section(found, Evidence()).table.columns) == 4


def test_cohorts_are_counted_where_they_have_the_same_examples():
    labels = torch.tensor([0, 1, 2])
    one, two = Decisions(torch.tensor([[0, 1, 2], [0, 2, 2]]), labels), Decisions(torch.tensor([[0, 1, 1]]), labels)
    assert most_disputed([two, one]) == [Disputed(1, 1, ((1, 1), (2, 1)), 1.0)]
    assert most_disputed([two]) == []
