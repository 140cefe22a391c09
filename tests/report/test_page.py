import csv
import re
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import torch

from codistill.report.evidence import Evidence
from codistill.report.run_page import write_run_report
from codistill.report.study_page import write_report as write_page_of
from codistill.run import Run
from codistill.training.decisions import Decisions
from report.conftest import lines_of, typed

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that every tag is closed in turn; gathers attributes, visible text and scripts."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.tags, self.text, self.scripts = [], [], [], "", []
        self.elements = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append(tag)
        self.elements.append((tag, dict(attrs)))
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text += data


def write_report(summary, log, results, path):
    return write_page_of(typed(summary), log, lines_of(results), path)


def of(path):
    html = path.read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>")
    page = Page(html)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    assert all(page.tags.count(tag) == 1 for tag in ("html", "head", "body", "title", "h1", "main"))
    return page


def test_report_of_a_study(summary, log, results, tmp_path):
    summary |= {
        "settings": {"data": "digits", "model": "small_cnn", "epochs": 40, "widths": [8, 16]},
        "versions": {"torch": "2.13.0"},
        "command": "codistill compare digits",
        "notes": ["A note of its own."],
    }
    path = tmp_path / "new" / "report.html"
    assert write_report(summary, log, results, path) == path
    page = of(path)
    for part in (
        "DML with 2 and 4 peers, DML_e with 4 peers and KD from a frozen teacher against training alone on digits",
        "The biggest reliable gain here is that of DML, 4 networks",
        "A note of its own.",
        "codistill compare digits",
        "small_cnn",
        "[8, 16]",
        "2.13.0",
        "All results, per network: 270 lines",
        "has exactly the same gradient as DML, 4 networks",
        "Does the imitation loss do anything?",
    ):
        assert part in page.text
    assert page.tags.count("figure") == page.tags.count("figcaption") == 6
    assert "details" in page.tags


def test_nothing_is_loaded_from_anywhere(summary, log, results, tmp_path):
    page = of(write_report(summary, log, results, tmp_path / "report.html"))
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert {value.partition(",")[0].partition("#")[0] for value in links} == {
        "",
        "data:image/svg+xml;charset=utf-8",
        "data:text/csv;charset=utf-8",
    }
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "http" not in policy
    style = re.search(r"<style>(.*?)</style>", (tmp_path / "report.html").read_text(), re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert page.scripts == []
    assert (tmp_path / "report.html").stat().st_size < 1.5e6


def test_every_figure_has_words_and_two_files(summary, log, results, tmp_path):
    page = of(write_report(summary, log, results, tmp_path / "report.html"))
    figures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert len(figures) == 6
    assert all(attrs["role"] == "img" and len(attrs["aria-label"]) > 40 for attrs in figures)
    files = {attrs["download"]: unquote(attrs["href"]) for tag, attrs in page.elements if "download" in attrs}
    assert len(files) == 2 * len(figures)
    ElementTree.fromstring(files["gain-per-seed.svg"].partition(",")[2])
    header, first, *_ = csv.reader(files["gain-per-seed.csv"].partition(",")[2].splitlines())
    assert header == ["row", "of", "gain, points", "low", "high"]
    assert first[:2] == ["alone, label smoothing 0.1", "mean"]
    assert float(first[2]) == pytest.approx(100 * summary["rows"][1]["gain_mean"])


def test_the_page_is_read_by_ear(summary, log, results, tmp_path):
    page = of(write_report(summary, log, results, tmp_path / "report.html"))
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in page.elements if tag == "th")
    assert page.tags.count("table") == page.tags.count("caption") == 2
    targets = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    inner = [attrs["href"][1:] for tag, attrs in page.elements if tag == "a" and attrs["href"].startswith("#")]
    assert inner[0] == "content"
    assert len(inner) > 5
    assert set(inner) <= targets
    named = [attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs]
    assert set(named) <= targets


def test_the_decisions_of_networks_make_three_more_sections(summary, log, results, tmp_path):
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (797,), generator=draw)

    def cohort(peers):
        return Decisions.of(torch.randn(peers, 797, 3, generator=draw), labels)

    rows = {row["method"]: [cohort(row["peers"])] for row in summary["rows"]}
    evidence = Evidence(rows, ["cat", "dog", "eel"])
    page = of(write_page_of(typed(summary), log, lines_of(results), tmp_path / "report.html", evidence))
    assert page.tags.count("figure") == 8
    for part in ("Gain in recall, class by class", "Calibration", "Most disputed examples", "eel ("):
        assert part in page.text


def test_the_same_summary_gives_the_same_page(summary, log, results, tmp_path):
    one = write_report(summary, log, results, tmp_path / "1.html").read_bytes()
    assert write_report(summary, log, results, tmp_path / "2.html").read_bytes() == one


def test_texts_are_escaped(summary, log, results, tmp_path):
    bad = "</script><script>alert(1)</script>"
    summary |= {"recipe": bad, "notes": [bad], "settings": {bad: bad}, "command": bad, "versions": {"a": bad}}
    summary["rows"][2]["label"] = bad
    results[0]["part"] = bad
    log[0]["terms"][bad] = [1.0]
    path = write_report(summary, log, results, tmp_path / "report.html")
    assert bad not in path.read_text()
    assert "alert(1)" in of(path).text


def test_one_seed_without_intervals(summary, log, results, tmp_path):
    summary["seeds"] = [0]
    for row in summary["rows"][1:]:
        row |= {"gain_ci95": None, "gain_per_seed": [row["gain_mean"]], "seeds": 1}
    page = of(write_report(summary, log[:40], results[:5], tmp_path / "report.html"))
    assert "one seed gives no interval" in page.text
    assert not re.search(r"\bnan\b", page.text, re.IGNORECASE)


def test_without_gains_log_or_results(summary, tmp_path):
    for row in summary["rows"]:
        row |= {"gain_mean": None, "gain_ci95": None, "gain_per_seed": None}
    summary["rows"] = summary["rows"][:1]
    path = write_report(summary, [], [], tmp_path / "report.html")
    page = of(path)
    assert "figure" not in page.tags
    assert "svg" not in page.tags
    assert "details" not in page.tags


def test_report_of_a_run(log, results, tmp_path):
    runs = [Run(method="dml", seed=seed, epochs=40) for seed in (0, 1)]
    log = [r for r in log if r["method"] == "dml:peers=2" and r["seed"] < 2]
    results = [r for r in results if r["method"] == "dml:peers=2" and r["seed"] < 2]
    for i, accuracy in enumerate((0.9, 0.92, 0.93, 0.94, 0.95, 0.97)):
        results[i]["accuracy"] = accuracy  # two networks and their ensemble, twice
    page = of(write_run_report(runs, log, lines_of(results), tmp_path / "run.html"))
    assert "Training run: dml" in page.text
    assert (
        "classifies 92.75 % of the test examples correctly (mean over 4 networks), used together 95.00 %" in page.text
    )
    assert "There is no baseline in it" in page.text
    assert page.tags.count("figure") == 2
    assert "Does the imitation loss do anything?" in page.text
    assert "dml:peers=2, seeds 0, 1: the imitation loss does something" in page.text
    assert "What differs between the runs" in page.text


def test_report_of_a_run_that_has_nothing_yet(tmp_path):
    page = of(write_run_report([Run(method="dml")], [], [], tmp_path / "run.html"))
    assert "No results yet." in page.text
    assert "svg" not in page.tags
