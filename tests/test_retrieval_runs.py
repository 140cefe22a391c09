"""Retrieval from the fleet to the report: trained on some identities, measured on others."""

import dataclasses
import json
from html import unescape

import pytest
import torch
from torch.nn import functional as F

from codistill.files import read_lines
from codistill.report.results import results_table
from codistill.report.study_page import write_report
from codistill.report.verdict import headline
from codistill.run import Run
from codistill.study import Study, Summary, compare, costs, summary
from codistill.training.build import build_fleet
from codistill.training.evaluate import changes
from codistill.training.loop import train
from codistill.training.results import Origin, measure_retrieval, result_from_json, results, retrieval_rows
from open_digits import open_digits

RUN = Run(
    data="open_digits:open_digits",
    models=("cnn:width=4",),
    epochs=1,
    batch=32,
    valid=100,
    execute="stack",
    device="cpu",
)


@pytest.fixture(scope="module")
def dataset():
    return open_digits()


@pytest.fixture(scope="module")
def fleet(dataset):
    return build_fleet([RUN.replace(seed=3)], dataset=dataset)


def by_hand(dataset, features):
    """mAP and rank-1 of single queries, image after image, by cosine."""
    test = dataset.retrieval
    precisions, firsts = [], []
    for q in test.query.nonzero().flatten().tolist():
        near = F.cosine_similarity(features[q : q + 1], features).tolist()
        hits = []
        for g in sorted(range(len(near)), key=lambda i: -near[i]):
            same = test.identity[g] == test.identity[q]
            if not test.query[g] and test.identity[g] != -1 and not (same and test.camera[g] == test.camera[q]):
                hits.append(bool(same))
        places = [i for i, hit in enumerate(hits) if hit]
        precisions.append(sum((k + 1) / (i + 1) for k, i in enumerate(places)) / len(places))
        firsts.append(places[0])
    return sum(precisions) / len(precisions), sum(f == 0 for f in firsts) / len(firsts)


def test_the_test_part_is_ranked_by_the_input_of_the_last_layer(fleet, dataset):
    rows = [row.to_json() for row in results(fleet, "test")]
    assert [(r["peer"], r["networks"]) for r in rows] == [(0, 1), (1, 1), (None, 2)]
    x = (dataset.test.x.float() / 255 if dataset.test.x.dtype == torch.uint8 else dataset.test.x) - dataset.mean[0]
    x = x / dataset.std[0]
    features = []
    for peer in range(2):
        net = fleet.cohort.network(peer).eval()
        with torch.no_grad():
            features.append(net[:-1](x))
    features.append(torch.cat([F.normalize(f, dim=1) for f in features], 1))
    for row, got in zip(rows, features, strict=True):
        assert (row["map"], row["cmc1"]) == pytest.approx(by_hand(dataset, got.double()), abs=1e-3)
        assert row["n"] == row["queries"] == int(dataset.retrieval.query.sum())
        assert row["cmc1"] <= row["cmc5"] <= row["cmc10"] <= 1.0
        assert 0.0 < row["map_trapezoid"] <= 1.0
        assert 0.0 < row["map_multi"] <= 1.0
    assert "accuracy" not in rows[0]
    json.dumps(rows, allow_nan=False)


def test_the_other_parts_are_classified(fleet):
    for part, n in (("valid", 100), ("train", len(fleet.streams.parts[0].train))):
        rows = [row.to_json() for row in results(fleet, part)]
        assert [r["n"] for r in rows] == [n] * 4
        assert all(0.0 <= r["accuracy"] <= 1.0 and "map" not in r for r in rows[:3])
        assert rows[3]["kind"] == "pairs"


def test_ensembles_are_of_the_first_networks(dataset):
    source = torch.Generator().manual_seed(0)
    n = len(dataset.test)
    features = [torch.randn(n, width, generator=source) for width in (3, 5, 4)]
    origin = Origin(method="alone", seed=0, part="test", n=9)
    rows = [row.to_json() for row in retrieval_rows(features, dataset.retrieval, origin)]
    assert [(r["peer"], r["networks"]) for r in rows] == [(0, 1), (1, 1), (2, 1), (None, 2), (None, 3)]
    pair = torch.cat([F.normalize(f, dim=1) for f in features[:2]], 1)
    assert rows[3]["map"] == measure_retrieval(pair, dataset.retrieval)["map"]
    assert rows[3]["map"] != rows[4]["map"]


def test_where_no_queries_belong_together_there_is_no_multi_query(dataset):
    test = dataset.retrieval
    pairs = torch.stack([test.identity, test.camera], 1).tolist()
    seen, query = set(), []
    for pair in map(tuple, pairs):
        query.append(pair not in seen and pair[0] > 0)
        seen.add(pair)
    alone = dataclasses.replace(test, query=torch.tensor(query))
    got = measure_retrieval(torch.randn(len(pairs), 4), alone)
    assert "map_multi" not in got
    assert "map" in got


@pytest.mark.parametrize(
    ("embedding", "why"),
    [("fcc:input", "did you mean 'fc'"), ("stage1:inside", "no submodule"), ("", "no submodule")],
)
def test_a_submodule_that_is_not_there_is_an_error_before_training(embedding, why, dataset, tmp_path):
    with pytest.raises(ValueError, match=f"embedding='{embedding}': .*{why}"):
        list(train(RUN.replace(embedding=embedding), tmp_path / "run", dataset=dataset))
    assert not (tmp_path / "run").exists()


def test_classification_needs_no_embedding():
    build_fleet([RUN.replace(data="digits", embedding="nothing", labels=60, valid=0)])


def test_retrieval_has_no_predictions_that_could_change(fleet):
    with pytest.raises(ValueError, match="part='test' of retrieval data has no classes.*choose part=valid"):
        changes(fleet, fleet, "test")


# Studies --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open")
    made = Study("open digits", RUN.replace(peers=2), ("alone", "dml"), seeds=(0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "TIMED_NETWORKS", 2)
        patch.setattr(costs, "TIMED_ROUNDS", 1)
        list(compare(made, folder))
    return folder, made


def test_a_study_of_retrieval_compares_map(finished):
    folder, made = finished
    rows = read_lines(folder / "results.jsonl")
    got = json.loads((folder / "summary.json").read_text())
    assert got["measure"] == "map"
    alone, dml = got["rows"]

    def values(method, key="map", **about):
        of = [r for r in rows if r["entry"] == method and all(r[k] == v for k, v in about.items())]
        return [r[key] for r in of]

    for row in (alone, dml):
        single = values(row["method"], networks=1)
        assert len(single) == 4
        assert row["map_mean"] == pytest.approx(sum(single) / 4)
        assert row["cmc1_mean"] == pytest.approx(sum(values(row["method"], "cmc1", networks=1)) / 4)
        assert row["ensemble_mean"] == pytest.approx(sum(values(row["method"], networks=2)) / 2)
        assert "accuracy_mean" not in row
        assert row["pairs"] is None
    gains = [
        sum(a - b for a, b in zip(*(values(r["method"], networks=1, seed=seed) for r in (dml, alone)), strict=True)) / 2
        for seed in made.seeds
    ]
    assert dml["gain_per_seed"] == pytest.approx(gains)


def test_what_is_printed_of_it_speaks_of_map(finished, tmp_path):
    got = json.loads((finished[0] / "summary.json").read_text())
    page = write_report(Summary.from_dict(got), [], [], tmp_path / "report.html").read_text(encoding="utf-8")
    table = unescape(page.partition("<table")[2].partition("</ul>")[0])
    for part in (
        "mAP of one network, %",
        "Rank-1, %",
        "test mAP, 2 seeds",
        "queries",
        "features of a cohort's networks",
    ):
        assert part in table, part
    assert f"{100 * got['rows'][1]['cmc1_mean']:.2f}" in table
    assert f"{100 * got['rows'][1]['map_mean']:.2f}" in table
    for gone in ("Accuracy", "accuracy", "ECE", "examples"):
        assert gone not in table, gone
    sentences = " ".join(headline(Summary.from_dict(got)))
    assert "classifies" not in sentences
    assert "179 test queries" in sentences
    got["rows"][1] |= {"gain_mean": 0.03, "gain_ci95": [0.02, 0.04], "gain_per_seed": [0.0299, 0.0301], "seeds": 5}
    got["rows"][1]["map_mean"] = 0.456
    assert "one network reaches a mAP of 45.60 % instead of" in " ".join(headline(Summary.from_dict(got)))


def test_a_study_of_retrieval_on_the_validation_part_compares_accuracy(finished):
    folder, made = finished
    rows = [
        {**row, "map": None, "accuracy": 0.5, "nll": 1.0, "ece": 0.1, "brier": 0.2, "entropy": 0.3}
        for row in read_lines(folder / "results.jsonl")
    ]
    for row in rows:
        del row["map"]
    results = [result_from_json(row) for row in rows]
    valid = dataclasses.replace(made, part="valid")
    table = summary(valid, results, json.loads((folder / "costs.json").read_text()))
    assert table.measure == "accuracy"
    assert table.rows[0].mean == 0.5


def test_the_table_of_a_run_has_the_ranks(fleet):
    table = results_table(results(fleet, "test"))
    assert [column.header for column in table.columns][1:5] == ["mAP %", "rank-1 %", "rank-5 %", "rank-10 %"]
    assert table.title == "dml, seed 3: test part, 179 queries"
    assert table.row_count == 3
