import math

import numpy as np
import pytest

from codistill.report.palette import styles
from codistill.report.plots.study import cohort_size_figure, cost_figure, gain_figure
from codistill.report.plots.terms import learning_figure
from report.conftest import lines_of, typed


def named(figure):
    return {trace.name: trace for trace in figure.data if trace.name and trace.showlegend is not False}


def test_gain_figure_shows_every_seed_the_mean_and_the_interval(summary):
    figure = gain_figure(typed(summary))
    assert len(figure.data) == 2 * 5
    row, points, mean = summary["rows"][2], figure.data[2], figure.data[3]
    np.testing.assert_allclose(points.x, [100 * g for g in row["gain_per_seed"]])
    np.testing.assert_allclose(mean.x, [100 * row["gain_mean"]])
    low, high = row["gain_ci95"]
    np.testing.assert_allclose(mean.x[0] + mean.error_x.array[0], 100 * high)
    np.testing.assert_allclose(mean.x[0] - mean.error_x.arrayminus[0], 100 * low)
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[0].x1 == 0
    assert figure.layout.xaxis.title.text == "Gain over alone, percentage points"
    assert figure.layout.yaxis.ticktext[1] == "DML, 2 networks"


def test_gain_figure_without_interval_or_without_gains(summary):
    for row in summary["rows"][1:]:
        row |= {"gain_ci95": None, "gain_per_seed": [row["gain_mean"]], "seeds": 1}
    summary["seeds"] = [0]
    figure = gain_figure(typed(summary))
    assert figure.data[1].error_x.array is None
    assert "nan" not in figure.to_json().lower()
    for row in summary["rows"]:
        row["gain_mean"] = None
    assert gain_figure(typed(summary)) is None


def test_learning_figure_means_over_networks_and_seeds(summary, log):
    figure = learning_figure(log, typed(summary))
    assert list(named(figure)) == [r["label"] + ("\u00a0†" if r["same_gradient_as"] else "") for r in summary["rows"]]
    values = [r["terms"]["task"] for r in log if r["method"] == "dml:peers=2" and r["epoch"] == 3]
    line = named(figure)["DML, 2 networks"]
    assert line.x[3] == 3
    np.testing.assert_allclose(line.y[3], np.mean(values))
    bands = [t for t in figure.data if t.fill == "toself" and t.legendgroup == "dml:peers=2"]
    np.testing.assert_allclose(bands[0].y[3], np.mean(values) + np.std(values, ddof=1))
    np.testing.assert_allclose(bands[0].y[-4], np.mean(values) - np.std(values, ddof=1))
    assert [figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text] == [
        "Task loss, nats",
        "Imitation loss",
    ]


def test_learning_figure_takes_scalars_leaves_out_nan_and_other_kinds():
    log = [
        {
            "kind": "epoch",
            "method": "one",
            "seed": 0,
            "epoch": 0,
            "terms": {"task": [1.0, math.nan], "trunk": 2.0},
        },
        {"kind": "epoch", "method": "one", "seed": 0, "epoch": 1, "terms": {"task": [math.nan, None]}},
        {"kind": "start"},
    ]
    figure = learning_figure(log)
    assert [(list(t.x), list(t.y)) for t in figure.data] == [([0], [1.0]), ([0], [2.0])]
    assert figure.layout.yaxis2.title.text == "trunk loss"
    assert learning_figure([{"kind": "start"}]) is None
    assert learning_figure([]) is None


def test_cohort_size_figure(summary, results):
    rows = {r["method"]: r for r in summary["rows"]}
    figure = cohort_size_figure(typed(summary), lines_of(results))
    lines = named(figure)
    single = lines["One network"]
    expected = [rows[m]["accuracy_mean"] for m in ("alone", "dml:peers=2", "dml:peers=4")]
    np.testing.assert_allclose(single.y, [100 * a for a in expected])
    assert list(figure.layout.xaxis.tickvals) == [1, 2, 4]
    together = [r["accuracy"] for r in results if r["method"] == "dml:peers=4" and r["peer"] is None]
    np.testing.assert_allclose(lines["Ensemble"].error_y.array[2], 100 * np.std(together, ddof=1))
    style = styles([r["method"] for r in summary["rows"]], "alone")
    assert list(single.marker.color) == [style[m].colour for m in ("alone", "dml:peers=2", "dml:peers=4")]
    del summary["rows"][2]  # one size left: nothing to compare
    assert cohort_size_figure(typed(summary), lines_of(results)) is None


def test_options_other_than_peers_are_not_mixed(summary):
    summary["rows"][3]["method"] = "dml:peers=4,weight=2"
    assert cohort_size_figure(typed(summary)) is None


def test_cost_figure(summary):
    figure = cost_figure(typed(summary))
    four = named(figure)["DML, 4 networks"]
    assert list(four.x) == [4.31 / 4, 4.31]
    assert list(four.y) == [
        100 * summary["rows"][3]["accuracy_mean"],
        100 * summary["rows"][3]["ensemble_mean"],
    ]
    assert len(named(figure)["KD from a frozen teacher"].x) == 1
    assert "Training time" in figure.layout.xaxis.title.text
    for row in summary["rows"]:
        del row["cost"]["seconds"], row["cost"]["seconds_per_network"]
    assert "Forward passes" in cost_figure(typed(summary)).layout.xaxis.title.text
    summary["rows"] = summary["rows"][:1]
    assert cost_figure(typed(summary)) is None


def test_a_method_has_one_colour_in_all_plots(summary, log, results):
    style = styles([r["method"] for r in summary["rows"]], "alone")
    curves, costs = named(learning_figure(log, typed(summary))), named(cost_figure(typed(summary)))
    means = [t for t in gain_figure(typed(summary)).data if t.marker.symbol == "diamond"]
    for row, mean in zip(summary["rows"][1:], means, strict=True):
        name = row["label"] + ("\u00a0†" if row["same_gradient_as"] else "")
        assert curves[name].line.color == costs[name].marker.color == mean.marker.color == style[row["method"]].colour


@pytest.mark.parametrize("n", [1, 2, 20])
def test_one_to_twenty_methods(summary, n):
    proto = summary["rows"][3]
    base = summary["rows"][0]
    summary["rows"] = [base] + [
        {**proto, "method": f"dml:peers={i + 2}", "peers": i + 2, "label": f"DML {i}"} for i in range(n)
    ]
    log = [
        {"kind": "epoch", "method": r["method"], "seed": 0, "epoch": 0, "terms": {"task": [1.0]}}
        for r in summary["rows"]
    ]
    assert len(gain_figure(typed(summary)).data) == 2 * n
    assert len(learning_figure(log, typed(summary)).data) == n + 1
    assert len(cost_figure(typed(summary)).data) == n + 1
    assert (cohort_size_figure(typed(summary)) is None) == (n == 1)
    used = styles([r["method"] for r in summary["rows"]], "alone")
    assert len({(s.colour, s.symbol, s.dash) for s in used.values()}) == n + 1


def test_labels_are_escaped(summary):
    summary["rows"][2]["label"] = "<a href='x'>"
    assert "<a href" not in gain_figure(typed(summary)).to_json()
    assert named(cost_figure(typed(summary)))["&lt;a href='x'&gt;"]
