import io
from html.parser import HTMLParser

import pytest
from rich.console import Console

from codistill.report.comparison import comparison
from codistill.report.markdown import markdown
from codistill.report.page import Section, write_page
from codistill.report.table import Cell, Column, Row, Table, terminal
from report.conftest import typed


def printed(summary, width):
    written = io.StringIO()
    console = Console(width=width, file=written, force_terminal=False)
    console.print(terminal(comparison(typed(summary))))
    return written.getvalue()


@pytest.fixture
def html_table(tmp_path):
    """The table of a summary on a page."""

    def write(summary):
        section = Section("Results", table=comparison(typed(summary)), style="results")
        return write_page(tmp_path / "page.html", "A page", [], [section]).read_text(encoding="utf-8")

    return write


def footnotes(summary):
    return comparison(typed(summary)).notes


class Rows(HTMLParser):
    """The text of every cell of a table's body."""

    def __init__(self):
        super().__init__()
        self.rows = []
        self.inside = False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True
        elif tag == "small" and self.inside:
            self.rows[-1][-1] += "|"

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def cells(html):
    parser = Rows()
    parser.feed(html)
    return {row[0].partition("|")[0]: row[1:] for row in parser.rows}


def test_html_holds_the_numbers_of_the_summary(summary, html_table):
    summary["rows"][3] |= {
        "accuracy_mean": 0.941,
        "accuracy_sd": 0.006,
        "gain_mean": 0.0058,
        "gain_ci95": [0.0033, 0.0083],
        "ensemble_mean": 0.948,
        "ensemble_alone_mean": 0.945,
        "ece_mean": 0.02,
        "nll_mean": 0.084,
    }
    rows = cells(html_table(summary))
    assert rows["DML, 4 networks"] == [
        "4|(40)",
        "94.10|± 0.60",
        "+0.58  n=10|[+0.33, +0.83]",
        "<0.0001|(<0.0001)",
        "94.80|(94.50)",
        "2.00",
        "0.084",
        "4.0/4.0|(1.0/1.0)",
        "4.31|(1.08)",
        "Gain: the whole interval lies above zero.",
    ]
    assert rows["alone"][2] == "baseline"
    assert rows["KD from a frozen teacher"][0] == "1|(40)"
    assert "DML_e, 4 networks †" in rows


@pytest.mark.parametrize("width", [80, 100])
def test_terminal_holds_every_number_whole(summary, width, html_table):
    text = printed(summary, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    rows = cells(html_table(summary))
    for row in list(rows.values())[1:]:
        for cell in row[:-1]:
            for part in cell.split("|"):
                assert part in text
    flat = " ".join(text.split())
    for note in footnotes(summary):
        assert note in flat
    assert "KD from a frozen teacher – no clear difference: the interval includes zero." in flat


def test_terminal_does_not_read_brackets_in_a_label_as_markup(summary):
    summary["rows"][2]["label"] = "[bold]x[/nope]"
    assert "[bold]x[/nope]" in printed(summary, 100)


def test_footnotes_come_where_they_are_needed(summary):
    text = "\n".join(footnotes(summary))
    assert "† DML_e, 4 networks has exactly the same gradient as DML, 4 networks" in text
    assert "fixed test set of 797 examples" in text
    assert "Time was measured separately, method by method" in text
    assert "largest is likely to be overestimated" in text
    assert "p after Holm is for 5 rows at once" in text
    assert "–: not measured." in text  # KD has no ensemble
    assert "One seed" not in text
    summary["notes"] = ["A note."]
    assert footnotes(summary)[-1] == "A note."
    del summary["rows"][4:]
    for row in summary["rows"]:
        del row["cost"]["seconds"], row["cost"]["seconds_per_network"]
        row |= {"gain_mean": None, "gain_ci95": None, "gain_per_seed": None}
    text = "\n".join(footnotes(summary))
    for gone in ("†", "Time", "training time", "Gain", "overestimated", "Holm"):
        assert gone not in text


def test_one_seed_is_said_in_words(summary, html_table):
    for row in summary["rows"][1:]:
        row |= {"gain_ci95": None, "gain_per_seed": [row["gain_mean"]], "seeds": 1}
    row = summary["rows"][2]
    row |= {"networks": 1, "accuracy_sd": None}
    found = cells(html_table(summary))[row["label"]]
    assert found[1].endswith("|one net")
    assert found[2].endswith("n=1|one seed: none")
    assert found[-1] == "No verdict: one seed gives no interval."
    assert any("One seed gives no interval" in note for note in footnotes(summary))
    assert "nan" not in html_table(summary) + printed(summary, 80)


def test_what_a_row_does_not_have_is_a_dash(summary, html_table):
    for row in summary["rows"][1:]:
        none = ("gain_mean", "gain_ci95", "gain_per_seed", "ensemble_networks", "ensemble_mean", "ensemble_alone_mean")
        row |= dict.fromkeys(none)
        del row["ece_mean"], row["cost"]["seconds"], row["cost"]["seconds_per_network"]
    row = cells(html_table(summary))["DML, 2 networks"]
    assert [row[i] for i in (2, 3, 4, 7)] == ["–"] * 4
    assert row[-1] == "No verdict: not compared with the baseline."


def test_html_escapes_every_text(summary, html_table):
    summary["rows"][2] |= {"label": "<b>&", "method": "dml:<i>=2"}
    summary["recipe"] = "<u>"
    summary["notes"] = ["<script>x</script>"]
    html = html_table(summary)
    for bad in ("<b>&", "<i>", "<u>", "<script>"):
        assert bad not in html


@pytest.fixture
def whole(summary):
    """A summary in which everything was measured."""
    for row in summary["rows"]:
        row["churn"] = 0.0417
    for row in summary["rows"][1:]:
        row |= {
            "gain_ci95_crossed": [-0.011, 0.012],
            "against_alone": {
                "ece": {"mean": -0.0332, "interval": [-0.0361, -0.0304]},
                "nll": {"mean": -0.0164, "interval": [-0.022, -0.011]},
                "churn": {"mean": 0.0, "interval": None},
            },
        }
    return summary


def test_differences_and_other_examples_stand_below_what_they_belong_to(whole):
    table = comparison(typed(whole))
    kept = next(row for row in table.rows if row.cells[0].main == "DML, 2 networks")
    cells_of = {column.title: cell for column, cell in zip(table.columns, kept.cells, strict=True)}
    assert cells_of["Gain over alone, points"].detail.endswith("]\n[−1.10, +1.20]")
    assert cells_of["ECE, %"].detail == "−3.32\n[−3.61, −3.04]"
    assert cells_of["NLL, nats"].detail == "−0.016\n[−0.022, −0.011]"
    assert (cells_of["Churn, %"].main, cells_of["Churn, %"].detail) == ("4.17", "0.00\n–")
    notes = " ".join(table.notes)
    for part in (
        "takes both seeds and examples as drawn at random",
        "Churn: test examples whose class changes",
        "Holm",
    ):
        assert part in notes


def test_everything_fits_into_a_terminal_of_80_columns(whole):
    text = printed(whole, 80)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    for part in ("[−1.10, +1.20]", "[−3.61, −3.04]", "[−0.022, −0.011]", "p, Holm", "Churn, %", "[other too]"):
        assert part in text


def test_markdown_keeps_a_row_in_a_line(whole):
    text = markdown(typed(whole))
    line = next(line for line in text.splitlines() if "`dml:peers=2`" in line)
    assert "−3.32 [−3.61, −3.04] |" in line
    assert "[−1.10, +1.20] |" in line
    assert line.count("|") == next(line for line in text.splitlines() if line.startswith("| Method")).count("|")


@pytest.mark.parametrize("width", [35, 60, 80, 120])
@pytest.mark.parametrize("many", [1, 2, 3, 4, 7])
def test_no_value_is_broken_and_columns_without_room_follow_below(width, many):
    columns = tuple(Column(title) for title in ("Method", *(f"Loss {number}" for number in range(many))))
    names = ("Alone", "DML, 2 networks, weight 2")
    details = [[f"−0.0{row}{number}2 ± 0.00{row}{number}8" for number in range(many)] for row in range(2)]
    rows = tuple(
        Row((Cell(name), *(Cell("2.29", detail) for detail in each))) for name, each in zip(names, details, strict=True)
    )
    written = io.StringIO()
    Console(width=width, file=written, force_terminal=False).print(terminal(Table("T", columns, rows), width))
    text = written.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert all(
        text.count(value) == 1 for value in (*(column.title for column in columns[1:]), *details[0], *details[1])
    )
    room = (width - 10 - 1) // (len(details[0][0]) + 2)  # columns beside broken names
    whole = len(names[1]) + 1 + many * (len(details[0][0]) + 2) <= width
    assert text.count("Method") == (1 if whole else -(-many // room))
    assert (names[1] in text) == whole
