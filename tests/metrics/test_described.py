"""Metrics are found in their folder, and what is made from them is up to date."""

import sys
from pathlib import Path

import pytest
import torch

from codistill import metrics
from codistill.cli.docs import metrics_page
from codistill.metrics import SOURCES, averaged, columns, computed_from, described
from codistill.training.results import measure_networks

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_of_metrics_is_what_the_metrics_say():
    text = PAGE.read_text(encoding="utf-8")
    assert text == metrics_page(), "run python -m codistill.cli.docs metrics > docs/metrics.md"
    assert all(f"| `{metric.key}` | {metric.about} |" in text for metric in described())


@pytest.mark.parametrize("source", SOURCES)
def test_a_key_stands_for_one_metric_of_a_source(source):
    keys = [metric.key for metric in computed_from(source)]
    assert keys
    assert len(keys) == len(set(keys))


def keep(keys, described_metrics):
    """Those of the keys that are described, in the order of the descriptions: others may stand between them."""
    return [metric.key for metric in described_metrics if metric.key in keys]


def test_orders_are_those_of_results_summaries_and_tables():
    decisions = ["accuracy", "nll", "ece", "brier", "entropy", "aurc", "top5", "f1"]
    assert keep(decisions, computed_from("decisions")) == decisions
    ranking = ["map", "map_trapezoid", "cmc1", "cmc5", "cmc10", "queries"]
    assert keep(ranking, computed_from("ranking")) == ranking
    retrieval = ["map_trapezoid", "map_multi", "cmc1", "cmc5", "cmc10", "cmc1_multi"]
    every = ["map", *decisions, "f1_macro", "f1_micro", *retrieval]
    assert [key for key in averaged() if key in every] == every


@pytest.mark.parametrize(
    ("table", "titles"),
    [
        ("classes", ["accuracy", "top-5", "F1", "NLL", "ECE", "Brier", "entropy"]),
        ("labels", ["mAP", "F1 macro", "F1 micro", "NLL", "ECE"]),
        ("retrieval", ["mAP", "rank-1", "rank-5", "rank-10", "multi-query mAP"]),
    ],
)
def test_columns_stand_in_this_order_with_others_between_them(table, titles):
    assert [metric.title for metric in columns(table) if metric.title in titles] == titles


def test_a_metric_is_added_by_its_file_alone(tmp_path, monkeypatch):
    (tmp_path / "own_margin.py").write_text(
        "from codistill.metrics import Metric\n"
        "def own_margin(logits, labels):\n"
        "    top = logits.topk(2, dim=-1).values\n"
        "    return (top[..., 0] - top[..., 1]).mean(-1)\n"
        "METRICS = (Metric('own_margin', own_margin, 99, 'gap', title='own margin', tables='classes', unit=''),)\n"
    )
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    described.cache_clear()
    try:
        logits = torch.tensor([[[3.0, 1.0], [0.0, 1.0]]])
        (row,) = measure_networks(logits, torch.tensor([0, 1]))
        assert row["own_margin"] == pytest.approx(1.5)
        assert "own_margin" in averaged()
        assert "own_margin" in [m.key for m in columns("classes")]
    finally:
        described.cache_clear()
        sys.modules.pop("codistill.metrics.own_margin", None)
