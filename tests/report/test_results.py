"""The table of a run, and how alike its networks are, from the lines of its results."""

import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from codistill.report.measures import measure_of_results
from codistill.report.results import changes_table, pairs_of, results_table as table_of
from codistill.report.run_page import write_run_report
from codistill.report.study_page import write_report
from codistill.report.verdict import headline
from codistill.run import Run
from codistill.training.evaluate import Change
from report.conftest import lines_of, typed


def pairs(seed, off, **about):
    """The line of a cohort of three, of which each pair has its own value."""
    matrix = [[1.0, off, off + 0.1], [off, 1.0, off + 0.2], [off + 0.1, off + 0.2, 1.0]]
    more = {"agreement": matrix, "error_correlation": matrix, "kl": matrix, "js": matrix}
    return {
        "method": "dml",
        "seed": seed,
        "part": "test",
        "n": 9,
        "kind": "pairs",
        "peer": None,
        "networks": None,
        "peers": 3,
        **more,
        **about,
    }


def single(**values):
    about = {"method": "dml", "seed": 0, "peers": 2, "part": "test", "n": 797}
    return [{**about, "peer": peer, "networks": networks, **values} for peer, networks in ((0, 1), (1, 1), (None, 2))]


CLASSES = {"accuracy": 0.5, "nll": 1.0, "ece": 0.1, "brier": 0.2, "entropy": 0.3, "aurc": 0.1}


def results_table(rows):
    return table_of(lines_of(rows))


def printed(table, width=80):
    written = io.StringIO()
    console = Console(width=width, file=written, force_terminal=False)
    console.print(table)
    return written.getvalue()


def test_a_long_name_of_a_run_takes_no_room_from_the_numbers():
    rows = single(**CLASSES, top5=0.9)
    for row in rows:
        row["method"] = "dml:temperature=3,weight=0.5,divergence=js_of_a_long_name"
    text = printed(results_table(rows))
    assert "50.00    90.00  1.000  10.00  0.200    0.300" in text
    assert "…" not in text


def test_the_similarity_of_networks_is_that_of_each_row_of_a_study():
    lines = [pairs(0, 0.5), pairs(1, 0.6), *single(accuracy=0.5), pairs(0, 0.1, method="alone")]
    similar = pairs_of(lines_of(lines))
    assert similar["dml"].agreement == pytest.approx(0.65)
    assert similar["alone"].js == pytest.approx(0.2)
    assert list(pairs_of(lines_of([pairs(0, 0.5, entry="dml:peers=3")]))) == ["dml:peers=3"]
    assert pairs_of(lines_of(single(accuracy=0.5))) == {}


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        (CLASSES, ["accuracy %", "NLL", "ECE %", "Brier", "entropy"]),
        ({**CLASSES, "top5": 0.9}, ["accuracy %", "top-5 %", "NLL", "ECE %", "Brier", "entropy"]),
        ({**CLASSES, "f1": 0.9}, ["accuracy %", "F1 %", "NLL", "ECE %", "Brier", "entropy"]),
        (
            {**CLASSES, "map": 0.4, "f1_macro": 0.3, "f1_micro": 0.3},
            ["mAP %", "F1 macro %", "F1 micro %", "NLL", "ECE %"],
        ),
        ({"map": 0.4, "cmc1": 0.6, "cmc5": 0.7, "cmc10": 0.8}, ["mAP %", "rank-1 %", "rank-5 %", "rank-10 %"]),
    ],
)
def test_a_runs_table_chooses_its_columns(values, columns):
    table = results_table([*single(**values), pairs(0, 0.5)])
    assert [c.header for c in table.columns] == ["network", *columns]
    assert table.row_count == 3
    text = printed(table)
    assert "ensemble of 2" in text
    assert "two networks agree on 60.00 %, error correlation 0.60, JS 0.600 nats" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_a_value_that_is_missing_is_a_dash_and_no_results_an_empty_table():
    rows = single(**CLASSES)
    del rows[1]["nll"]
    assert "–" in printed(results_table(rows))
    assert results_table([]).row_count == 0
    assert "queries" in results_table(single(map=0.4, cmc1=0.6)).title
    assert "examples" in results_table(single(**CLASSES)).title


def test_the_run_is_named_once_or_line_by_line():
    rows = single(**CLASSES)
    assert results_table(rows).title == "dml, seed 0: test part, 797 examples"
    more = [{**row, "method": "rkd:teacher=none,features=layers.1/classifier", "seed": 3} for row in rows]
    text = printed(results_table(rows + more))
    assert "test part, 797 examples" in text
    assert "dml, seed 0" in text
    starts = [line.split()[0] for line in text.splitlines()]
    first = starts.index("rkd:teacher=none,features=")
    assert starts[first : first + 4] == ["rkd:teacher=none,features=", "layers.1/classifier,", "3", "network"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_number_is_broken_and_what_has_no_room_is_named(width):
    rows = single(**CLASSES, top5=0.9)
    for row in rows[:2]:
        row["model"] = "hf:a-library/with_a_name_that_goes_on_and_on"
    other = [{**row, "method": "kd:teacher=runs/a_folder_with_a_long_name,temperature=4"} for row in rows]
    table = table_of(lines_of(rows + other), width)
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    for number in ("50.00", "90.00", "1.000"):
        assert text.count(number) == 6
    shown = [column.header for column in table.columns]
    assert ("entropy" in shown) == (width > 60)
    assert ("No room for ECE, Brier and entropy: the report has all." in " ".join(text.split())) == (width == 60)


def test_changes_are_said_network_by_network():
    row = {"run": "a/seed=0", "against": "b/seed=0", "part": "test", "n": 9, "peer": 1}
    change = Change(**row, changed=0.25, lost=0.1, gained=0.05, p=0.0123)
    text = printed(changes_table([change], "runs/one", "runs/two"), 100)
    for part in ("test part, 9 examples: from runs/one to runs/two", "a/seed=0, b/seed=0", "25.00", "10.00", "5.00"):
        assert part in text
    assert "0.0123" in text
    assert "exact McNemar test" in text
    text = printed(changes_table([replace(change, p=None)], "runs/one", "runs/two"), 100)
    assert "McNemar" not in text
    assert "–" in text


def test_the_page_says_how_alike_networks_are_and_keeps_matrices_out_of_the_list(summary, log, results, tmp_path):
    lines = [*results, pairs(0, 0.5, method="dml", entry="dml:peers=3")]
    html = write_report(typed(summary), log, lines_of(lines), tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Similarity of the networks of a cohort" in html
    assert f"All results, per network: {len(results)} lines" in html
    assert '<th scope="row">dml:peers=3</th><td>60.00</td><td>0.600</td><td>0.600</td><td>0.600</td>' in html
    assert "[[" not in html.partition("All results")[2].partition("</details>")[0]
    without = write_report(typed(summary), log, lines_of(results), tmp_path / "old.html").read_text(encoding="utf-8")
    assert "Similarity of the networks" not in without


def test_the_page_of_a_run_that_searches(tmp_path):
    rows = single(map=0.4, cmc1=0.6, cmc5=0.7, cmc10=0.8)
    html = write_run_report([Run(method="dml")], [], lines_of(rows), tmp_path / "run.html").read_text(encoding="utf-8")
    assert "reaches a mAP of 40.00 % on the test part" in html
    assert "classifies" not in html
    assert "<td>60.00</td>" in html  # rank-1
    assert "ECE" not in html


def labelled(summary):
    """The same study with mAP of several labels in place of accuracy."""
    summary["measure"] = "map"
    for row in summary["rows"]:
        row["map_mean"], row["map_sd"] = row.pop("accuracy_mean"), row.pop("accuracy_sd")
    return summary


def test_several_labels_are_known_by_map_and_keep_their_ece(summary, tmp_path):
    html = write_report(typed(labelled(summary)), [], [], tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ("mAP of one network, %", "ECE, %", "of the examples&#39; ranking", "mean mAP of a method"):
        assert part in html, part
    assert "Rank-1" not in html
    assert f"{100 * summary['rows'][3]['map_mean']:.2f}" in html
    assert "797 test examples" in " ".join(headline(typed(summary)))


def test_figures_and_headline_take_the_same_measure(summary, log, results, tmp_path):
    html = write_report(typed(labelled(summary)), log, [], tmp_path / "report.html").read_text(encoding="utf-8")
    main = re.sub(r'href="data:[^"]*"', "", html.partition("<main")[2].partition("</main>")[0])
    main = main.replace("confidence and accuracy", "")  # of the ECE
    for gone in ("MAP", "ccuracy"):
        assert gone not in main, gone
    assert "mAP by cohort size" in html
    assert "Test mAP, %" in html
    assert "one network reaches a mAP of" in html


def test_a_measure_that_is_not_finite_is_not_what_is_compared():
    assert measure_of_results([]).key == "accuracy"
    assert measure_of_results(lines_of(single(map=math.nan))).key == "accuracy"
