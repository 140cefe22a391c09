import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from codistill.report.page import Figure, Section, write_page
from codistill.report.plots.drawing import GRID, INK, PAPER, Plot, on_page


def square(**more):
    def paint(canvas):
        axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], marker="o")
        axes.set_xlabel("x & y")

    return Plot(200, paint, ("x", "y"), ((0, 'a "b", c'), (1, None)), "A line that rises", **more)


def test_an_svg_is_the_same_each_time_and_says_neither_when_nor_by_what():
    plot = square()
    assert plot.svg == plot.svg
    assert not re.search(r"metadata|DOCTYPE|<\?xml|<!--", plot.svg)
    assert {PAPER, INK, GRID} <= set(re.findall(r"#[0-9a-f]{6}", plot.svg))


def test_on_a_page_it_takes_the_colours_of_the_page_and_keeps_its_ids_apart():
    shown = on_page(square().svg, "watch-0", 'A "title"', "A line that rises")
    assert shown.startswith("<svg viewBox=")
    assert 'role="img" aria-label="A &quot;title&quot;. A line that rises"' in shown
    assert not {PAPER, INK, GRID} & set(re.findall(r"#[0-9a-f]{6}", shown))
    assert "var(--ink)" in shown
    ids = re.findall(r'id="([^"]*)"', shown)
    used = re.findall(r'(?:url\(#|href="#)([^)"]*)', shown)
    assert ids
    assert set(ids) == set(used)
    assert all(each.startswith("watch-0-") for each in ids)
    assert "<style" not in shown


def test_figures_are_written_as_files_of_three_kinds(tmp_path):
    section = Section("Figures", figures=[Figure("A square, by hand", "", square())])
    write_page(tmp_path / "page.html", "T", [], [section], figures_in=tmp_path / "figures")
    names = ["a-square-by-hand.csv", "a-square-by-hand.png", "a-square-by-hand.svg"]
    numbers, picture, drawing = (tmp_path / "figures" / name for name in names)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == names
    assert numbers.read_text() == square().csv
    assert ElementTree.parse(drawing).getroot().tag.endswith("svg")
    with Image.open(picture) as image:
        assert image.size == pytest.approx((480 / 72 * 200, 200 / 72 * 200), abs=1)
        assert image.convert("L").getextrema() == (pytest.approx(29, abs=12), 255)  # dark on white
    assert square().png == square().png


def test_numbers_as_csv():
    assert square().csv == 'x,y\n0,"a ""b"", c"\n1,\n'
