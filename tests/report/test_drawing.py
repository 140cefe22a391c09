import re

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


def test_numbers_as_csv():
    assert square().csv == 'x,y\n0,"a ""b"", c"\n1,\n'
