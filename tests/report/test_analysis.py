"""The tables and the page of an analysis."""

import copy
import io
import json
import re

import pytest
from rich.console import Console

from codistill.analysis import Analysis
from codistill.analysis.noise import ABSOLUTE, RELATIVE
from codistill.analysis.seeds import Mean
from codistill.analysis.surface import LINE, PLANE
from codistill.report import analysis_page, analysis_tables
from codistill.report.analysis_page import TITLE, is_analysis
from codistill.report.analysis_tables import difference
from codistill.report.numbers import figure
from codistill.report.quantities import Quantity
from report.test_page import of

MEASURES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy", "train_entropy", "test_entropy", "noise",
            "noise_relative", "sharpness", "sharpness_relative", "hessian", "weight_norm")  # fmt: skip

TRACE = {"mean": 0.5, "error": 0.1, "probes": 2, "how": "autograd", "why": ""}


def shaken(sizes):
    even = [0.0] * len(sizes)
    loss = [0.1 * (k + 1) for k in range(len(sizes))]
    return {"sizes": list(sizes), "loss": loss, "loss_sd": even, "accuracy": even, "accuracy_sd": even, "draws": 2,
            "still": 0.1}  # fmt: skip


def network(method, seed, peer):
    return {
        "method": method,
        "seed": seed,
        "peer": peer,
        "model": "cnn",
        **dict.fromkeys(MEASURES, 0.5),
        **dict.fromkeys(("train_n", "test_n"), 300),
        "train_top": [0.9, 0.06, 0.04],
        "test_top": [0.8, 0.15, 0.05],
        "noise_detail": shaken(ABSOLUTE),
        "noise_relative_detail": shaken(RELATIVE),
        "hessian_detail": TRACE,
        "line": [0.1 + a * a for a in LINE],
    }


def measure(mean, gap=None, low=None, high=None):
    return {"mean": mean, "sd": 0.1, "n": 4, "difference": gap, "ci95": None if low is None else [low, high]}


def row(method, label, baseline, **measures):
    plain = dict.fromkeys(MEASURES, measure(0.5) if baseline else measure(0.5, 0.001, -0.1, 0.102))
    top = {"train_top": [0.9, 0.06, 0.04], "test_top": [0.8, 0.15, 0.05]}
    return {"method": method, "model": "cnn", "label": label, "baseline": baseline, "seeds": 2, "networks": 4,
            "measures": {**plain, **measures}, **top}  # fmt: skip


FINDING = {"kind": "too small", "warning": True, "method": "dml", "seeds": [0, 1], "term": "mimic", "peers": ["peer 0"],
           "epoch": 2, "text": "the imitation loss is <small>", "fix": "raise weight",
           "sentence": "dml, seeds 0, 1: the imitation loss is <small>. To change: raise weight."}  # fmt: skip

_ANALYSIS = {
    "made_by": "codistill analyze",
    "folders": ["runs/x"],
    "settings": {"examples": 512, "networks": 2},
    "versions": {"torch": "2"},
    "baseline": "alone",
    "data": "digits",
    "task": "classes",
    "device": "cpu",
    "n": {"shaken": 300, "train": 300, "test": 797},
    "networks": [network(m, s, p) for m in ("alone", "dml") for s in (0, 1) for p in (0, 1)],
    "rows": [
        row("alone", "Alone", True),
        row(
            "dml",
            "DML",
            False,
            noise=measure(0.3, -0.2, -0.31, -0.09),
            train_loss=measure(0.6, 0.1, 0.05, 0.15),
            test_accuracy=measure(0.5, 0.012, 0.004, 0.02),
        ),
    ],
    "planes": [
        {"method": m, "seed": 0, "peer": 0, "at": list(PLANE), "loss": [[0.5] * 11] * 10 + [[None] * 11]}
        for m in ("alone", "dml")
    ],
    "paths": [
        {"method": m, "seed": 0, "peers": [0, 1], "at": [0.0, 0.5, 1.0], "loss": [0.1, 2.0, 0.1]}
        for m in ("alone", "dml")
    ],
    "peers": [
        {"method": m, "epoch": e, "divergence": 0.2 / e, "divergence_sd": 0.01, "agreement": 0.9, "agreement_sd": 0.01,
         "ratio": 0.1 * e if m == "dml" else None, "ratio_sd": None}
        for e in (1, 2) for m in ("alone", "dml")
    ],
    "findings": [FINDING],
}  # fmt: skip


@pytest.fixture
def analysis():
    return copy.deepcopy(_ANALYSIS)


def tables(analysis):
    return analysis_tables.tables(Analysis.from_json(analysis))


def about(analysis):
    return analysis_tables.about(Analysis.from_json(analysis))


def write_analysis(analysis, *where):
    return analysis_page.write_analysis(Analysis.from_json(analysis), *where)


def texts(row):
    return [(cell.main, cell.detail) for cell in row.cells]


def table(analysis, key):
    return next(shown for shown in tables(analysis) if shown.key == key)


def test_a_cell_holds_the_mean_and_its_difference_from_alone(analysis):
    shown = table(analysis, "noise")
    assert [row.cells[0].main for row in shown.rows] == ["Alone", "DML"]
    assert texts(shown.rows[0])[1] == ("0.5", "")
    assert texts(shown.rows[1])[1] == ("0.3", "−0.2 ± 0.11")
    assert texts(table(analysis, "fit").rows[1])[4] == ("50.00", "+1.20 ± 0.80")


def test_each_measure_is_read_in_words_and_explained(analysis):
    fit = table(analysis, "fit")
    assert fit.sentences[0] == "Training loss: above alone's with DML (+0.1 ± 0.05)."
    assert fit.sentences[1] == "Test loss: no clear difference from alone with any method."
    assert fit.sentences[2] == "Test accuracy: above alone's with DML (+1.20 ± 0.80)."
    assert table(analysis, "noise").sentences[0] == "Rise under absolute noise: below alone's with DML (−0.2 ± 0.11)."
    for shown in tables(analysis):
        assert len(shown.notes) >= len(shown.columns) - 1


def test_methods_that_do_not_differ_are_left_in_the_rest(analysis):
    analysis["rows"].append(row("kd", "KD", False))
    assert table(analysis, "noise").sentences[0].endswith("DML (−0.2 ± 0.11); no clear difference with the others.")


def test_one_seed_is_never_a_clear_difference(analysis):
    analysis["rows"][1]["measures"]["noise"] = measure(0.3, -0.2)
    shown = table(analysis, "noise")
    assert texts(shown.rows[1])[1] == ("0.3", "−0.2")
    assert shown.sentences[0] == "Rise under absolute noise: no clear difference from alone with any method."


def test_without_a_baseline_nothing_is_compared(analysis):
    analysis["baseline"] = None
    analysis["rows"] = [row("dml", "DML", True)]
    assert all(not shown.sentences for shown in tables(analysis))
    assert "no networks trained alone" in " ".join(about(analysis))


def test_the_course_of_the_peers_goes_from_the_first_epoch_to_the_last(analysis):
    shown = table(analysis, "peers")
    assert texts(shown.rows[1])[1:] == [("0.2 → 0.1", "mean 0.15"), ("0.9 → 0.9", "mean 0.9"), ("10 → 20", "mean 15")]
    assert texts(shown.rows[0])[3] == ("–", "")
    analysis["peers"] = []
    assert "peers" not in [shown.key for shown in tables(analysis)]


def test_a_trace_by_differences_says_why(analysis):
    why = {"how": "finite differences", "why": "no double backward"}
    analysis["networks"][0]["hessian_detail"] = {**TRACE, **why}
    assert "The Hessian's trace is from differences of gradients: no double backward." in about(analysis)


def test_numbers_are_short_and_have_a_real_minus():
    assert [figure(x) for x in (0.01234, -5.0, 123456.0, float("nan"))] == ["0.0123", "−5", "123456", "–"]
    assert difference(Mean(1.0, 0.1, 4, None, None), Quantity("a", "A", "")) == ""


def test_the_terminal_shows_every_table_and_finding(analysis):
    text = io.StringIO()
    analysis_tables.print_analysis(Analysis.from_json(analysis), Console(file=text, width=100))
    plain = " ".join(text.getvalue().split())
    for shown in tables(analysis):
        assert shown.title in plain
    for part in ("−0.2 ± 0.11", "0.900 0.060 0.040", "797 test examples", FINDING["sentence"], "digits"):
        assert part in plain


def test_the_page_holds_tables_figures_and_findings(analysis, tmp_path):
    path = write_analysis(analysis, tmp_path / "new" / "analysis.html", "codistill analyze runs/x")
    page = of(path)
    for shown in tables(analysis):
        assert shown.title in page.text
    for part in (
        TITLE,
        "the imitation loss is <small>",
        "To change: raise weight",
        "codistill analyze runs/x",
        "−0.2 ± 0.11",
    ):
        assert part in page.text
    assert page.tags.count("figure") == page.tags.count("svg") == 6
    assert not re.search(r"\bnan\b", page.text, re.IGNORECASE)


def test_the_page_of_an_analysis_that_skipped_much(analysis, tmp_path):
    for n in analysis["networks"]:
        for name in ("noise_detail", "noise_relative_detail", "line", "hessian_detail"):
            del n[name]
        n["train_top"] = n["test_top"] = []
    for r in analysis["rows"]:
        r["measures"] = {k: v for k, v in r["measures"].items() if k.startswith("train")}
        r["test_top"] = []
    analysis |= {"planes": [], "paths": [], "peers": [], "findings": []}
    page = of(write_analysis(analysis, tmp_path / "analysis.html"))
    assert "figure" not in page.tags
    assert "Is the training loss lower?" in page.text


def test_texts_are_escaped(analysis, tmp_path):
    bad = "</script><script>alert(1)</script>"
    analysis["rows"][1]["label"] = bad
    analysis["findings"][0]["text"] = bad
    path = write_analysis(analysis, tmp_path / "analysis.html", bad)
    assert bad not in path.read_text()
    of(path)


def test_an_analysis_is_known_from_other_files(analysis, tmp_path):
    page = write_analysis(analysis, tmp_path / "analysis.html")
    (tmp_path / "analysis.json").write_text(json.dumps(analysis, indent=1))
    (tmp_path / "mine.json").write_text("{}")
    assert [is_analysis(p) for p in (page, tmp_path / "analysis.json", tmp_path / "mine.json")] == [True, True, False]


def test_an_analysis_is_the_same_after_json(analysis):
    typed = Analysis.from_json(analysis)
    assert Analysis.from_json(json.loads(json.dumps(typed.to_json()))) == typed
    assert typed.to_json()["rows"] == analysis["rows"]
