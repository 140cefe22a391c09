import json
import re
from html.parser import HTMLParser

from codistill.report.run_page import write_run_report
from codistill.report.study_page import write_report as write_page_of
from codistill.run import Run
from report.conftest import lines_of, typed

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that every tag is closed in turn; gathers attributes, visible text and scripts."""

    def __init__(self, html):
        super().__init__()
        self.open, self.attributes, self.tags, self.text, self.scripts = [], [], [], "", []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

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
        "settings": {"model": "small_cnn", "epochs": 40, "widths": [8, 16]},
        "versions": {"torch": "2.13.0"},
        "command": "codistill compare digits",
        "notes": ["A note of its own."],
    }
    path = tmp_path / "new" / "report.html"
    assert write_report(summary, log, results, path) == path
    page = of(path)
    for part in (
        "What mutual learning bought and what it cost: digits",
        "The biggest reliable gain here is that of DML, 4 networks",
        "A note of its own.",
        "codistill compare digits",
        "small_cnn",
        "[8, 16]",
        "2.13.0",
        "All results, per network: 270 lines",
        "has exactly the same gradient as DML, 4 networks",
        "Is the mimic term doing anything?",
    ):
        assert part in page.text
    assert page.tags.count("figure") == page.tags.count("figcaption") == 5
    assert "details" in page.tags


def test_nothing_is_loaded_from_anywhere(summary, log, results, tmp_path):
    page = of(write_report(summary, log, results, tmp_path / "report.html"))
    assert not [(name, value) for name, value in page.attributes if name in ("src", "href")]
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "http" not in policy
    style = re.search(r"<style>(.*?)</style>", (tmp_path / "report.html").read_text(), re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert sum("Licensed under the MIT license" in script for script in page.scripts) == 1  # plotly.js, once


def test_the_figures_are_data_that_parses(summary, log, results, tmp_path):
    page = of(write_report(summary, log, results, tmp_path / "report.html"))
    figures = [json.loads(script) for script in page.scripts if script.startswith("{")]
    assert len(figures) == 5
    assert all(figure["data"] for figure in figures)


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
    assert page.scripts == []  # nothing to plot, so the plotting library stays out
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
    assert "Is the mimic term doing anything?" in page.text
    assert "dml:peers=2, seeds 0, 1: the mimic term does something" in page.text
    assert "What differs between the runs" in page.text


def test_report_of_a_run_that_has_nothing_yet(tmp_path):
    page = of(write_run_report([Run(method="dml")], [], [], tmp_path / "run.html"))
    assert "No results yet." in page.text
    assert "script" not in page.tags
