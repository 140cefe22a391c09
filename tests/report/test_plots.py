import math
from itertools import pairwise

import numpy as np
import pytest

from codistill.checkpoint import write_runs
from codistill.files import append_lines
from codistill.report import writing
from codistill.report.palette import styles
from codistill.report.plots.curves import Legend, Panel, Point, figure_of
from codistill.report.plots.study import cohort_size_figure, cost_figure, gain_figure
from codistill.report.plots.terms import learning_figure, ratio_figure, validation_figure
from codistill.run import Run
from report.conftest import lines_of, typed


def rows_of(plot, *start):
    """The numbers of a plot, of those rows that begin so."""
    return [row[len(start) :] for row in plot.rows if row[: len(start)] == start]


def legend_of(plot):
    return [text.get_text().replace("\n", " ") for text in plot.canvas().legends[0].get_texts()]


def label(row):
    return row["label"] + ("\u00a0†" if row["same_gradient_as"] else "")


def test_gain_figure_shows_every_seed_the_mean_and_the_interval(summary):
    plot = gain_figure(typed(summary))
    row = summary["rows"][2]
    ((mean, low, high),) = rows_of(plot, "DML, 2 networks", "mean")
    np.testing.assert_allclose([mean, low, high], [100 * row["gain_mean"], *(100 * x for x in row["gain_ci95"])])
    each = [rows_of(plot, "DML, 2 networks", f"seed {seed}")[0][0] for seed in summary["seeds"]]
    np.testing.assert_allclose(each, [100 * g for g in row["gain_per_seed"]])
    (axes,) = plot.canvas().axes
    assert axes.get_xlabel() == "Gain over alone, percentage points"
    assert axes.get_yticklabels()[1].get_text() == "DML, 2 networks"
    drawn = [collection.get_offsets()[:, 0] for collection in axes.collections if len(collection.get_offsets()) == 10]
    np.testing.assert_allclose(drawn[1], each)
    assert list(axes.lines[0].get_xdata()) == [0, 0]


def test_gain_figure_without_interval_or_without_gains(summary):
    for row in summary["rows"][1:]:
        row |= {"gain_ci95": None, "gain_per_seed": [row["gain_mean"]], "seeds": 1}
    summary["seeds"] = [0]
    plot = gain_figure(typed(summary))
    assert rows_of(plot, "DML, 2 networks", "mean")[0][1:] == (None, None)
    assert "nan" not in plot.svg.lower()
    for row in summary["rows"]:
        row["gain_mean"] = None
    assert gain_figure(typed(summary)) is None


def test_learning_figure_means_over_networks_and_seeds(summary, log):
    plot = learning_figure(log, typed(summary))
    assert legend_of(plot) == list(map(label, summary["rows"]))
    values = [r["terms"]["task"] for r in log if r["method"] == "dml:peers=2" and r["epoch"] == 3]
    x, mean, low, high = rows_of(plot, "Task loss, nats", "DML, 2 networks")[3]
    sd = np.std(values, ddof=1)
    assert x == 3
    np.testing.assert_allclose([mean, low, high], np.mean(values) + sd * np.array([0, -1, 1]))
    assert [axes.get_ylabel() for axes in plot.canvas().axes] == ["Task loss, nats", "Imitation loss"]
    assert all(axes.get_ylim()[0] <= 0 for axes in plot.canvas().axes)


def test_learning_figure_takes_scalars_leaves_out_nan_and_other_kinds():
    log = [
        {"kind": "epoch", "method": "one", "seed": 0, "epoch": 0, "terms": {"task": [1.0, math.nan], "trunk": 2.0}},
        {"kind": "epoch", "method": "one", "seed": 0, "epoch": 1, "terms": {"task": [math.nan, None]}},
        {"kind": "start"},
    ]
    plot = learning_figure(log)
    assert plot.rows == (
        ("Task loss, nats", "one", 0, 1.0, 1.0, 1.0),
        ("Trunk loss", "one", 0, 2.0, 2.0, 2.0),
    )
    assert plot.canvas().legends == []  # one line needs none
    assert learning_figure([{"kind": "start"}]) is None
    assert learning_figure([]) is None


def test_validation_figure_where_it_was_measured(summary, log):
    assert validation_figure(log, typed(summary)) is None
    for line in log:
        if line["epoch"] % 10 == 9:
            line["valid_accuracy"] = [0.5 + line["epoch"] / 100] * 2
    points = rows_of(validation_figure(log, typed(summary)), "Validation accuracy, %", "DML, 2 networks")
    np.testing.assert_allclose(points, [(e, 50 + e, 50 + e, 50 + e) for e in (9, 19, 29, 39)])


def test_cohort_size_figure(summary, results):
    rows = {r["method"]: r for r in summary["rows"]}
    plot = cohort_size_figure(typed(summary), lines_of(results))
    expected = [100 * rows[m]["accuracy_mean"] for m in ("alone", "dml:peers=2", "dml:peers=4")]
    single = rows_of(plot, "One network")
    np.testing.assert_allclose([mean for _, mean, _ in single], expected)
    together = [r["accuracy"] for r in results if r["method"] == "dml:peers=4" and r["peer"] is None]
    np.testing.assert_allclose(rows_of(plot, "Ensemble")[2][2], 100 * np.std(together, ddof=1))
    (axes,) = plot.canvas().axes
    assert list(axes.get_xticks()) == [1, 2, 4]
    style = styles([r["method"] for r in summary["rows"]], "alone")
    marks = [line.get_color() for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    assert marks == [style[m].colour for m in ("alone", "dml:peers=2", "dml:peers=4")]
    del summary["rows"][2]  # one size left: nothing to compare
    assert cohort_size_figure(typed(summary), lines_of(results)) is None


def test_options_other_than_peers_are_not_mixed(summary):
    summary["rows"][3]["method"] = "dml:peers=4,weight=2"
    assert cohort_size_figure(typed(summary)) is None


def test_cost_figure(summary):
    plot, row = cost_figure(typed(summary)), summary["rows"][3]
    assert rows_of(plot, "DML, 4 networks") == [
        ("one network", 4.31 / 4, 100 * row["accuracy_mean"]),
        ("ensemble of 4", 4.31, 100 * row["ensemble_mean"]),
    ]
    assert len(rows_of(plot, "KD from a frozen teacher")) == 1
    assert "Training time" in plot.canvas().axes[0].get_xlabel()
    for row in summary["rows"]:
        del row["cost"]["seconds"], row["cost"]["seconds_per_network"]
    assert "Forward passes" in cost_figure(typed(summary)).canvas().axes[0].get_xlabel()
    summary["rows"] = summary["rows"][:1]
    assert cost_figure(typed(summary)) is None


def test_a_method_has_one_colour_in_all_plots(summary, log):
    colours = [style.colour for style in styles([r["method"] for r in summary["rows"]], "alone").values()]
    curves = learning_figure(log, typed(summary)).canvas().axes[0].lines
    assert [line.get_color() for line in curves] == colours
    marks = [line for line in gain_figure(typed(summary)).canvas().axes[0].lines if line.get_marker() == "D"]
    assert [line.get_color() for line in marks] == colours[1:]
    costs = cost_figure(typed(summary)).canvas().axes[0].lines
    assert [line.get_color() for line in costs if line.get_linestyle() == ":"] == colours


@pytest.mark.parametrize("n", [1, 2, 20])
def test_one_to_twenty_methods(summary, n):
    proto, base = summary["rows"][3], summary["rows"][0]
    summary["rows"] = [base] + [
        {**proto, "method": f"dml:peers={i + 2}", "peers": i + 2, "label": f"DML {i}"} for i in range(n)
    ]
    log = [
        {"kind": "epoch", "method": r["method"], "seed": 0, "epoch": 0, "terms": {"task": [1.0]}}
        for r in summary["rows"]
    ]
    assert len({row[0] for row in gain_figure(typed(summary)).rows}) == n
    assert len(legend_of(learning_figure(log, typed(summary)))) == n + 1
    assert len(legend_of(cost_figure(typed(summary)))) == n + 1
    assert (cohort_size_figure(typed(summary)) is None) == (n == 1)
    used = styles([r["method"] for r in summary["rows"]], "alone")
    assert len({(s.colour, s.marker, s.dash) for s in used.values()}) == n + 1


def test_labels_are_text(summary):
    """No tag, and no formula between dollar signs."""
    summary["rows"][2]["label"] = "<a href='x'> costs $1 or $2"
    svg = cost_figure(typed(summary)).svg
    assert "<a href" not in svg
    assert "&lt;a href='x'&gt; costs $1 or $2" in svg


@pytest.mark.parametrize(("low", "high"), [(3.1, 3.3), (0.8, 45.0), (2e-6, 30.0), (1e-12, 1e20)])
@pytest.mark.filterwarnings("error")
def test_labels_of_a_logarithmic_axis_do_not_overlap(low, high):
    curve = [Point(x, y, y, y) for x, y in zip((low, high), (low, high), strict=True)]
    plot = figure_of([Panel("y", {"a": curve}, "x")], {"a": Legend("a", styles(["a"])["a"])}, "", log="xy")
    canvas = plot.canvas()
    canvas.draw_without_rendering()
    (axes,) = canvas.axes
    for axis, start, end in ((axes.xaxis, "x0", "x1"), (axes.yaxis, "y0", "y1")):
        view = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_major_ticks() if view[0] <= tick.get_loc() <= view[1]]
        assert len(ticks) >= 2
        boxes = [tick.label1.get_window_extent() for tick in ticks]
        spans = sorted((getattr(box, start), getattr(box, end)) for box in boxes)
        assert all(before[1] < after[0] for before, after in pairwise(spans))
        assert not axis.get_minorticklocs().size


def test_ratio_figure_leaves_out_what_a_logarithmic_axis_cannot_show(log):
    for line in log:
        if line["epoch"] == 0 and "mimic" in line["terms"]:
            line["terms"]["mimic"] = [0.0 for _ in line["terms"]["mimic"]]
    plot = ratio_figure(log)
    assert {row[2] for row in plot.rows} == set(range(1, 40))
    assert all(row[4] > 0 for row in plot.rows)


def test_names_in_any_script_are_measured_without_a_warning(summary):
    summary["rows"][2]["label"] = "상호 학습 互学习"
    assert "상호 학습 互学习" in cost_figure(typed(summary)).svg


def test_of_twelve_thousand_epochs_a_thousand_are_drawn(tmp_path, monkeypatch):
    told = {"kind": "epoch", "run": "dml", "method": "dml", "terms": {"task": [0.5, 0.5]}, "seconds": 1.0}
    append_lines(tmp_path / "log.jsonl", [{**told, "step": 3 * epoch, "epoch": epoch} for epoch in range(1, 12_001)])
    write_runs(tmp_path, [Run()])
    drawn = []
    monkeypatch.setattr(writing, "write_run_report", lambda runs, log, *rest: drawn.extend(log))
    writing.write_folder(tmp_path)
    assert [line["epoch"] for line in drawn] == list(range(12, 12_001, 12))
