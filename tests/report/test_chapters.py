"""What several experiments taught, in words, in a table and in a picture."""

import copy
import csv
import dataclasses
import statistics
import xml.etree.ElementTree as ElementTree
from statistics import fmean

import pytest

from codistill.report.chapters_page import write_chapters
from codistill.report.lessons import Lesson, lead, lessons_table
from codistill.report.plots.overview import Axis, overview
from codistill.statistics.interval import paired_interval
from codistill.statistics.power import detectable_gain
from codistill.study.summary import Summary


def with_gains(summary, gains, **changes):
    """A summary whose rows gain this, by method, give or take a little from seed to seed."""
    values = copy.deepcopy(summary)
    values["rows"] = [row for row in values["rows"] if row["method"] in {"alone", *gains}]
    for row in values["rows"][1:]:
        shift = gains[row["method"]] - fmean(row["gain_per_seed"])
        row["gain_per_seed"] = [gain + shift for gain in row["gain_per_seed"]]
        mean, low, high = paired_interval(row["gain_per_seed"])
        row |= {"gain_mean": mean, "gain_ci95": [low, high]}
    return Summary.from_dict({**values, **changes})


SMOOTHING = "alone:label_smoothing=0.1"


@pytest.fixture
def lessons(summary):
    silos = with_gains(summary, {SMOOTHING: -0.01, "dml:peers=4": 0.15}, question="Private labels")
    equal = with_gains(summary, {SMOOTHING: -0.01, "dml:peers=2": 0.0}, question="The same labels")
    matched = with_gains(summary, {SMOOTHING: 0.05, "dml:peers=4": 0.051}, question="A trick")
    worse = with_gains(summary, {"dml:peers=4": -0.1}, recipe="worse")
    return [Lesson(f"part-{i}", each) for i, each in enumerate((equal, silos, matched, worse))]


def test_an_experiment_pays_where_peers_are_ahead_of_training_alone_and_of_the_best_row_without(lessons):
    assert [lesson.verdict for lesson in lessons] == ["unclear", "gain", "matched", "loss"]
    assert [lesson.title for lesson in lessons] == ["The same labels", "Private labels", "A trick", "worse"]


def test_being_ahead_of_the_control_is_measured_seed_by_seed(lessons):
    matched = lessons[2]
    pairs = zip(matched.peers.gain.per_seed, matched.control.gain.per_seed, strict=True)
    mean, low, high = paired_interval(peers - control for peers, control in pairs)
    assert matched.ahead.mean == pytest.approx(mean)
    assert matched.ahead.interval == pytest.approx((low, high))
    assert lessons[1].ahead is None  # that control gains nothing: training alone is the stronger one


def test_the_lead_says_where_it_paid_and_where_not_the_largest_gain_first(lessons):
    text = " ".join(lead(lessons))
    assert "It paid in 1 of 4 experiments here" in text
    assert "“Private labels” +15.00 points" in text
    assert "It did not pay in “The same labels”: the largest gain" in text
    assert "It did not pay in “A trick”: DML, 4 networks gained +5.10 points" in text
    assert "and without peers alone, label smoothing 0.1 gained +5.00; the difference, +0.10 points [" in text
    assert "It did not pay in “worse”: even DML, 4 networks was reliably worse" in text
    assert text.index("A trick") < text.index("The same labels") < text.index("“worse”")


def test_fewer_than_five_seeds_leave_it_open(summary):
    few = with_gains(summary, {"dml:peers=4": 0.15}, question="Few")
    few = dataclasses.replace(few, rows=tuple(dataclasses.replace(row, seeds=4) for row in few.rows))
    lesson = Lesson("few", few)
    assert lesson.verdict == "few"
    assert "It is open whether it paid in “Few”: the largest gain, that of DML, 4 networks" in " ".join(lead([lesson]))
    assert "over 4 seeds, which are too few to rely on" in " ".join(lesson.sentences())


def test_a_gain_below_what_the_seeds_detect_reliably_is_open(summary):
    found = with_gains(summary, {"dml:peers=4": 0.0}, question="Barely")
    row = next(row for row in found.rows if row.method == "dml:peers=4")
    spread = statistics.stdev(row.gain.per_seed)
    limit = detectable_gain(spread, len(row.gain.per_seed))
    mean, _, high = paired_interval(row.gain.per_seed)
    half = high - mean
    assert half < limit
    expected = ((1.01 * limit, "gain"), (0.99 * limit, "small"), (1.01 * half, "small"), (0.9 * half, "unclear"))
    for mean, verdict in expected:
        barely = with_gains(summary, {SMOOTHING: -0.01, "dml:peers=2": -0.01, "dml:peers=4": mean}, question="Barely")
        lesson = Lesson("barely", barely)
        assert lesson.verdict == verdict
        assert ("a repetition may miss it" in " ".join(lead([lesson]))) == (verdict == "small")
        assert ("a repetition may miss it" in " ".join(lesson.sentences())) == (verdict == "small")


def test_where_nothing_paid_the_lead_says_so(lessons):
    assert "It paid in none of 1 experiment here." in " ".join(lead(lessons[:1]))


def test_a_quick_look_has_no_verdict(summary):
    quick = with_gains(summary, {"dml:peers=4": 0.2}, quick=True)
    assert "its figures mean nothing" in " ".join(lead([Lesson("quick", quick)]))
    assert "its figures mean nothing" in " ".join(Lesson("quick", quick).sentences())


def test_pooled_labels_are_neither_peers_nor_a_control(summary):
    values = copy.deepcopy(summary)
    values["rows"][1]["method"], values["rows"][3]["method"] = "alone:shards=none", "dml:peers=4,shards=none"
    lesson = Lesson("silos", Summary.from_dict(values))
    assert lesson.is_pooled(lesson.pooled)
    assert not lesson.is_pooled(lesson.peers)
    assert lesson.control.method == "kd"
    assert lessons_table([lesson]).columns[-1].title == "Gain with all labels pooled, points"


def test_the_table_has_a_row_for_each_experiment(lessons):
    table = lessons_table(lessons)
    assert [row.cells[0].main for row in table.rows] == [lesson.title for lesson in lessons]
    assert [cell.main for cell in table.rows[1].cells[2:]] == ["+15.00", "−1.00"]  # nobody pooled any labels


def marks(svg):
    root = ElementTree.fromstring(svg)
    return [node for node in root.iter() if node.get("class", "").partition(" ")[0] in ("peers", "control", "pooled")]


def test_the_picture_has_a_mark_for_each_gain_and_names_every_row(lessons):
    svg = overview(lessons)
    assert len(marks(svg)) == 7 + 2  # and two in the legend
    for lesson in lessons:
        assert lesson.title in svg
    assert "prefers-color-scheme: dark" in svg
    assert svg.count("DML, 4 networks") == 3


def test_nothing_in_a_title_ends_the_picture(summary):
    odd = Lesson("odd", with_gains(summary, {"dml:peers=4": 0.1}, question="</svg><script>"))
    assert "<script>" not in overview([odd])
    ElementTree.fromstring(overview([odd]))


def test_without_any_gain_there_is_no_picture(summary):
    assert not overview([Lesson("none", with_gains(summary, {}))])


@pytest.mark.parametrize("values", [[], [0.3], [-44.0, 2.0], [0.01, 0.02], [-3.0], [120.0]])
def test_the_axis_holds_zero_and_all_values(values):
    axis = Axis(values)
    assert all(236 <= axis.at(value) <= 560 for value in [0.0, *values])
    assert "0" in [text for _, text in axis.ticks]
    assert 2 <= len(axis.ticks) <= 8


def test_the_page_has_a_chapter_for_each_and_links_to_its_report(lessons, tmp_path):
    path = write_chapters(lessons, tmp_path / "report.html", "codistill compare --recipe a b")
    html = path.read_text(encoding="utf-8")
    for lesson in lessons:
        assert f">{lesson.title}</h2>" in html
        assert f'href="{lesson.name}/report.html"' in html
    assert html.count("ECE: expected calibration error") == 1  # the footnotes that all tables have
    assert "codistill compare --recipe a b" in html
    assert (tmp_path / "gains.svg").read_text(encoding="utf-8").strip() in html


def test_the_overview_is_written_as_files_with_the_numbers_of_every_row_where_it_is_asked_for(lessons, tmp_path):
    folder = tmp_path / "new"
    write_chapters(lessons, folder / "report.html", figures_in=folder / "figures")
    name = "gains-and-their-intervals"
    assert sorted(path.name for path in (folder / "figures").iterdir()) == [
        f"{name}.{e}" for e in ("csv", "png", "svg")
    ]
    drawing, gains = ((folder / where).read_text(encoding="utf-8") for where in (f"figures/{name}.svg", "gains.svg"))
    texts = [
        [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        for svg in (drawing, gains)
    ]
    assert sorted(texts[0]) == sorted(texts[1])  # both drawings of it say the same
    assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    with open(folder / "figures" / f"{name}.csv", encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    rows = [(lesson, row) for lesson in lessons for row in lesson.summary.rows if row.gain]
    assert [(one["experiment"], one["row"]) for one in written] == [(lesson.title, row.label) for lesson, row in rows]
    for one, (_, row) in zip(written, rows, strict=True):
        low, high = row.gain.interval
        shown = [float(one[column]) for column in ("gain, points", "low", "high", "seeds")]
        assert shown == pytest.approx([100 * row.gain.mean, 100 * low, 100 * high, row.seeds])
